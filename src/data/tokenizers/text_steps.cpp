#include "data/tokenizers/text_steps.h"

#include <utf8proc.h>

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/text.h"
#include "data/tokenizers/tokenizers.h"

// The normalizers of a tokenizer.json.
namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

std::string without(const std::string& text, bool (*is_left_out)(int32_t)) {
  std::vector<int32_t> characters = characters_of(text);
  std::erase_if(characters, is_left_out);
  return text_of(characters);
}

bool is_mark(int32_t c) {
  const auto category = utf8proc_category(c);
  return category >= UTF8PROC_CATEGORY_MN && category <= UTF8PROC_CATEGORY_ME;
}

bool is_accent(int32_t c) {
  return utf8proc_category(c) == UTF8PROC_CATEGORY_MN;
}

// What BERT leaves out: controls and private characters, but not those that are not assigned.
bool is_bert_control(int32_t c) {
  if (c == '\t' || c == '\n' || c == '\r') return false;
  const auto category = utf8proc_category(c);
  return c == 0 || c == 0xFFFD || category == UTF8PROC_CATEGORY_CC ||
         category == UTF8PROC_CATEGORY_CF || category == UTF8PROC_CATEGORY_CO ||
         category == UTF8PROC_CATEGORY_CS;
}

// The blocks that BERT's code takes for Chinese.
bool is_chinese(int32_t c) {
  constexpr std::pair<int32_t, int32_t> kBlocks[] = {
      {0x4E00, 0x9FFF},   {0x3400, 0x4DBF},   {0x20000, 0x2A6DF}, {0x2A700, 0x2B73F},
      {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF}, {0xF900, 0xFAFF},   {0x2F800, 0x2FA1F}};
  return std::any_of(std::begin(kBlocks), std::end(kBlocks),
                     [c](const auto& block) { return c >= block.first && c <= block.second; });
}

TextStep bert_step(const Json& json) {
  const auto flag = [&](const char* key, bool otherwise) {
    return json.contains(key) && json.at(key).is_boolean() ? json.at(key).get<bool>() : otherwise;
  };
  const bool cleans = flag("clean_text", true), is_lower = flag("lowercase", true),
             parts_chinese = flag("handle_chinese_chars", true),
             strips = flag("strip_accents", is_lower);
  return [=](std::string text) {
    std::vector<int32_t> out;
    for (const int32_t c : characters_of(text)) {
      if (cleans && is_bert_control(c)) continue;
      const bool is_alone = parts_chinese && is_chinese(c);
      if (is_alone) out.push_back(' ');
      out.push_back(cleans && is_white(c) ? ' ' : c);
      if (is_alone) out.push_back(' ');
    }
    text = text_of(out);
    if (strips) text = without(normal_form(text, NormalForm::kDecomposed), is_accent);
    return is_lower ? lower_case_each(text) : text;
  };
}

// Runs of at least so many characters of a kind become this.
std::string runs_replaced(const std::string& text, bool (*is_of_run)(int32_t), size_t least,
                          const std::string& content) {
  const std::vector<int32_t> c = characters_of(text);
  std::string out;
  for (size_t at = 0; at < c.size();) {
    size_t end = at;
    while (end < c.size() && is_of_run(c[end])) ++end;
    if (end - at >= least)
      out += content;
    else if (end > at)
      out += text_of(std::span(c).subspan(at, end - at));
    if (end == at) out += text_of({&c[end++], 1});
    at = end;
  }
  return out;
}

TextStep replace_step(const Json& json, const std::string& place) {
  const auto content = json.at("content").get<std::string>();
  const Json& pattern = json.at("pattern");
  if (pattern.contains("String")) {
    const auto from = pattern.at("String").get<std::string>();
    if (from.empty()) throw CheckpointError(place, " replaces an empty text");
    return [from, content](const std::string& text) {
      std::string out;
      size_t at = 0;
      for (size_t found; (found = text.find(from, at)) != std::string::npos;
           at = found + from.size())
        out.append(text, at, found - at).append(content);
      return out.append(text, at);
    };
  }
  const auto regex = pattern.at("Regex").get<std::string>();
  const auto is_blank = [](int32_t c) { return c == ' '; };
  if (regex == "\\s+")
    return [content](const std::string& text) { return runs_replaced(text, is_white, 1, content); };
  if (regex == " {2,}")
    return [content, is_blank](const std::string& text) {
      return runs_replaced(text, is_blank, 2, content);
    };
  throw CheckpointError(place, " replaces the pattern '", regex,
                        "', which is not supported; want \\s+ or ' {2,}'");
}

TextStep text_sequence(const Json& json, const std::string& place) {
  std::vector<TextStep> steps;
  for (const Json& one : json.at("normalizers")) steps.push_back(make_text_step(one, place));
  return [steps](std::string text) {
    for (const TextStep& step : steps) text = step(std::move(text));
    return text;
  };
}

TextStep form_step(NormalForm form) {
  return [form](const std::string& text) { return normal_form(text, form); };
}

std::string decoded_base64(const std::string& text, const std::string& place) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    if (c == '=') break;
    const size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos)
      throw CheckpointError(place, ": precompiled_charsmap is no base64");
    bits = (bits << 6) | static_cast<uint32_t>(digit);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out += static_cast<char>((bits >> count) & 0xFF);
  }
  return out;
}

}  // namespace

TextStep make_text_step(const Json& json, const std::string& place) {
  if (json.is_null()) return [](std::string text) { return text; };
  const auto type = json.at("type").get<std::string>();
  if (type == "Sequence") return text_sequence(json, place);
  if (type == "NFC") return form_step(NormalForm::kComposed);
  if (type == "NFD") return form_step(NormalForm::kDecomposed);
  if (type == "NFKC") return form_step(NormalForm::kCompatible);
  if (type == "NFKD") return form_step(NormalForm::kCompatibleDecomposed);
  if (type == "Lowercase") return [](const std::string& text) { return lower_case_each(text); };
  if (type == "StripAccents") return [](const std::string& text) { return without(text, is_mark); };
  if (type == "Replace") return replace_step(json, place);
  if (type == "BertNormalizer") return bert_step(json);
  if (type == "Strip")
    return [left = json.value("strip_left", true), right = json.value("strip_right", true)](
               const std::string& text) { return stripped(text, left, right); };
  if (type == "Prepend")
    return [prefix = json.at("prepend").get<std::string>()](const std::string& text) {
      return text.empty() ? text : prefix + text;
    };
  if (type == "Precompiled") {
    const Json& table = json.at("precompiled_charsmap");
    if (table.is_null()) return make_text_step(Json(), place);
    return make_charsmap(decoded_base64(table.get<std::string>(), place), place);
  }
  throw CheckpointError(place, ": its normalizer ", type, " is not supported");
}

}  // namespace vit22b
