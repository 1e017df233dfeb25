#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/json.h"
#include "data/tokenizers/added_tokens.h"
#include "data/tokenizers/piece_model.h"
#include "data/tokenizers/settings.h"
#include "data/tokenizers/text_steps.h"
#include "data/tokenizers/tokenizers.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kMostPieces = 100'000'000;

class JsonTokenizer : public Tokenizer {
 public:
  JsonTokenizer(Json json, const TokenizerSettings& settings, std::string place,
                const TokenizerOptions& options)
      : place_(std::move(place)), options_(options) {
    model_ = make_piece_model(json.at("model"), place_);
    take_settings(
        settings, [this](const std::string& piece) { return model_->id(piece); }, json);
    normalise_ = make_text_step(json.value("normalizer", Json()), place_);
    split_ = make_split_step(json.value("pre_tokenizer", Json()), place_);
    take_added(json.value("added_tokens", Json::array()));
    if (const Json template_ = json.value("post_processor", Json()); !template_.is_null())
      take_marks(template_);
    check_marks();
    take_padding(json.value("padding", Json()));
    const Json truncation = json.value("truncation", Json());
    cuts_left_ = truncation.is_object() && truncation.value("direction", "Right") == "Left";
    bytes_ = json.dump();
  }

  int64_t vocab_size() const override { return vocab_size_; }
  bool has_padding() const override { return padding_.has_value(); }
  const std::string& file_bytes() const override { return bytes_; }
  const char* file_name() const override { return "tokenizer.json"; }

  at::Tensor encode(std::string_view text, int64_t length) const override {
    std::vector<int64_t> ids = content_of(cleaned(text, options_.cleaning, Cleaning::kNone));
    const auto marks = static_cast<int64_t>(first_.size() + last_.size());
    const auto kept = static_cast<ptrdiff_t>(
        std::min(static_cast<int64_t>(ids.size()), std::max<int64_t>(0, length - marks)));
    cuts_left_ ? ids.erase(ids.begin(), ids.end() - kept)
               : ids.erase(ids.begin() + kept, ids.end());
    ids.insert(ids.begin(), first_.begin(), first_.end());
    ids.insert(ids.end(), last_.begin(), last_.end());
    if (options_.blanks_end && !last_.empty())
      std::replace(ids.begin(), ids.end(), last_.back(), int64_t{0});
    ids.resize(static_cast<size_t>(std::min(static_cast<int64_t>(ids.size()), length)));
    const auto missing = static_cast<size_t>(length) - ids.size();
    ids.insert(pads_left_ ? ids.begin() : ids.end(), missing, padding_.value_or(0));
    return at::tensor(ids, at::kLong);
  }

 private:
  int64_t id_of(const Json& token) const {
    const auto name = token.get<std::string>();
    if (const auto it = added_.find(name); it != added_.end()) return it->second;
    if (const auto id = model_->id(name)) return *id;
    throw CheckpointError(place_, ": its vocabulary has not '", name, "'");
  }

  void take_added(const Json& tokens) {
    vocab_size_ = model_->last_id() + 1;
    for (const Json& json : tokens) {
      const AddedToken token{json.at("content").get<std::string>(), whole_number(json.at("id")),
                             json.value("single_word", false), json.value("lstrip", false),
                             json.value("rstrip", false)};
      added_[token.content] = token.id;
      vocab_size_ = std::max(vocab_size_, token.id + 1);
      least_id_ = std::min(least_id_, token.id);
      AddedToken found = token;
      const bool is_normalised = json.value("normalized", true);
      if (is_normalised) found.content = normalise_(found.content);
      (is_normalised ? normalised_tokens_ : raw_tokens_).add(std::move(found));
    }
    if (least_id_ < 0 || model_->first_id() < 0 || vocab_size_ > kMostPieces)
      throw CheckpointError(place_, ": its pieces' numbers are not 0 to ", kMostPieces);
  }

  void take_marks(const Json& json) {
    const auto type = json.at("type").get<std::string>();
    if (type == "Sequence") {
      for (const Json& one : json.at("processors")) take_marks(one);
    } else if (type == "RobertaProcessing" || type == "BertProcessing") {
      first_ = {whole_number(json.at("cls").at(1))};
      last_ = {whole_number(json.at("sep").at(1))};
    } else if (type == "TemplateProcessing") {
      take_template_marks(json);
    } else if (type != "ByteLevel") {
      throw CheckpointError(place_, ": its post-processor ", type, " is not supported");
    }
  }

  void take_template_marks(const Json& json) {
    const Json numbers = json.value("special_tokens", Json::object());
    bool is_behind = false;
    for (const Json& part : json.at("single")) {
      if (part.contains("Sequence")) {
        is_behind = true;
        continue;
      }
      const auto name = part.at("SpecialToken").at("id").get<std::string>();
      std::vector<int64_t>& marks = is_behind ? last_ : first_;
      if (!numbers.contains(name)) {
        marks.push_back(id_of(name));
        continue;
      }
      for (const Json& id : numbers.at(name).at("ids")) marks.push_back(whole_number(id));
    }
    if (!is_behind) throw CheckpointError(place_, ": its template has no place for a text");
  }

  void check_marks() const {
    for (const auto& marks : {first_, last_})
      for (const int64_t mark : marks)
        if (mark < 0 || mark >= vocab_size_)
          throw CheckpointError(place_, ": its mark ", mark, " is none of its pieces");
  }

  void take_padding(const Json& json) {
    if (json.is_null()) return;
    padding_ =
        json.contains("pad_token") ? id_of(json.at("pad_token")) : whole_number(json.at("pad_id"));
    pads_left_ = json.value("direction", "Right") == "Left";
    if (*padding_ < 0 || *padding_ >= vocab_size_)
      throw CheckpointError(place_, ": its padding ", *padding_, " is none of its pieces");
  }

  /// The text's pieces, without marks around it.
  std::vector<int64_t> content_of(const std::string& text) const {
    std::vector<int64_t> ids;
    each_part(raw_tokens_, text, /*is_first=*/true, ids, [&](const TextPart& raw) {
      each_part(normalised_tokens_, normalise_(raw.text), raw.is_first, ids,
                [&](const TextPart& part) {
                  for (const TextPart& word : split_({part})) model_->encode(word.text, ids);
                });
    });
    return ids;
  }

  /// What stands between the added tokens, and their numbers.
  void each_part(const TokenFinder& tokens, std::string_view text, bool is_first,
                 std::vector<int64_t>& ids, const std::function<void(const TextPart&)>& use) const {
    bool strips_left = false;
    size_t from = 0;
    while (true) {
      size_t at = from;
      const AddedToken* token = tokens.find(text, at);
      const std::string_view between =
          text.substr(from, token == nullptr ? std::string_view::npos : at - from);
      const std::string part =
          stripped(between, strips_left, token != nullptr && token->takes_left);
      if (!part.empty()) use({part, is_first && from == 0});
      if (token == nullptr) return;
      ids.push_back(token->id);
      strips_left = token->takes_right;
      from = at + token->content.size();
    }
  }

  std::string place_, bytes_;
  TokenizerOptions options_;
  std::unique_ptr<PieceModel> model_;
  TextStep normalise_;
  SplitStep split_;
  TokenFinder raw_tokens_, normalised_tokens_;
  std::map<std::string, int64_t> added_;
  int64_t vocab_size_ = 0, least_id_ = 0;
  std::vector<int64_t> first_, last_;  ///< marks around a text
  std::optional<int64_t> padding_;
  bool pads_left_ = false, cuts_left_ = false;
};

Json parsed(const std::string& text, const std::string& name) {
  Json json = parse_json<Json>(text, name, ExitCode::kCheckpoint);
  if (!json.is_object()) throw CheckpointError(name, " is no tokenizer.json: want an object");
  return json;
}

}  // namespace

std::unique_ptr<Tokenizer> make_json_tokenizer(std::string json, const TokenizerSettings& settings,
                                               const std::string& name,
                                               const TokenizerOptions& options) {
  try {
    return std::make_unique<JsonTokenizer>(parsed(json, "tokenizer " + name), settings,
                                           "tokenizer " + name, options);
  } catch (const Json::exception& e) {
    throw CheckpointError("tokenizer ", name, " is damaged (", e.what(), ")");
  }
}

}  // namespace vit22b
