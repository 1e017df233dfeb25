#pragma once

namespace vit22b {

/// What is done to a text before its tokenizer sees it.
enum class Cleaning {
  kOfKind,  ///< as open_tokenizer says of each kind
  kNone,
  kLower,             ///< lower case (transformers' SigLIP 2)
  kSiglipByClass,     ///< one of these three, as the tokenizer's class in its settings is
  kSiglip,            ///< lower case, no ASCII punctuation, single spaces (transformers' SigLIP)
  kComposed,          ///< Unicode's NFC (transformers' CLIP)
  kCanonical,         ///< canonical_text: SigLIP's own
  kCaption,           ///< open_clip's: clean_caption and single spaces
  kCaptionLower,      ///< and lower case
  kCaptionCanonical,  ///< clean_caption and canonical_text
};

/// What a family does with texts that its tokenizer's files do not say.
struct TokenizerOptions {
  Cleaning cleaning = Cleaning::kOfKind;
  bool prefers_sentencepiece = false;  ///< its model's file before a tokenizer.json
  bool blanks_end = false;             ///< marks at a text's end become 0 (CLIPA)
  bool pads_with_zero = false;         ///< of a SentencePiece model: not with </s> (SigLIP 2)
};

}  // namespace vit22b
