#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "dist/mesh.h"
#include "kernels/activation_kind.h"
#include "model/config.h"

namespace vit22b {

enum class Arrangement {
  kSerial,   ///< x += attention(norm1(x)); x += mlp(norm2(x))
  kParallel  ///< x += attention(norm(x)) + mlp(norm(x))
};

/// A kind of norm: RMSNorm, or LayerNorm with centring.
struct NormForm {
  bool is_centred = false, has_bias = false;
  double eps = 1e-6;
};
/// Of a model's norms but those of queries and keys.
NormForm norm_form(const ViTConfig& config);

/// A norm inside a block.
struct BlockNorm {
  std::string name;  ///< local, of NAME.weight and NAME.bias; "" for none
  NormForm form;
  int64_t whole = 0;  ///< features over all ranks of a model axis

  bool exists() const { return !name.empty(); }
};

/// What stands beside a layer's weight: + scale · x Aᵀ Bᵀ.
struct AdapterSpec {
  std::string a, b;  ///< local names of A [rank, in] and B, of the weight's rows
  int64_t rank = 0;  ///< 0 for none
  double scale = 0;

  bool exists() const { return rank > 0; }
};

/// What each member of an ensemble has of its own beside a weight that all share:
/// ((x ⊙ in) Wᵀ) ⊙ out + b + bias. Of the parallel block's in-projection the MLP's rows have it.
struct FastWeights {
  std::string in, out, bias;  ///< local names of [members, in], [members, out] twice
  int64_t members = 0;        ///< 0 for none
  double first_sign = 0;      ///< PlexConfig::batch_ensemble_sign

  bool exists() const { return members > 0; }
};

/// A linear layer inside a block: rows of a weight that may hold those of others too.
struct LinearSpec {
  std::string weight, bias;  ///< local names; bias "" for none
  int64_t first_row = 0;     ///< of the weight and of the bias where they are parts of a wider one
  int64_t bias_first = 0;
  int64_t out = 0, in = 0;
  AdapterSpec adapter = {};  ///< of the whole weight
  FastWeights fast = {};     ///< of these rows
};

/// A block, made from the config once: the parameter table, the engines, what counts bytes and
/// operations, and importers read it, so that a name or a form of a block stands here alone.
///
/// The parallel block reads both in-projections from one weight and has one norm, one output bias
/// and one LayerScale. Sizes are those of a rank on a mesh's model axis.
struct BlockSpec {
  Arrangement arrangement = Arrangement::kParallel;
  int64_t width = 0;        ///< of queries, keys, values and this rank's residual stream
  int64_t whole_width = 0;  ///< of the residual stream over all ranks
  int64_t hidden = 0;       ///< units of the MLP
  int64_t whole_hidden = 0;
  int64_t heads = 0;
  Activation activation = Activation::kGeluTanh;
  NormForm form;                   ///< of all norms
  BlockNorm norm1, norm2;          ///< before in-projections; equal in the parallel block
  BlockNorm q_norm, k_norm;        ///< over each head
  BlockNorm q_wide, k_wide;        ///< over all of them together
  BlockNorm attn_norm;             ///< of what was attended, before its out-projection
  BlockNorm mlp_norm;              ///< of the hidden units, before theirs
  BlockNorm out_norm1, out_norm2;  ///< of branches, before they join the residual stream
  LinearSpec qkv, proj;  ///< attention's; qkv: queries, keys and values, one below the other
  LinearSpec fc1, fc2;   ///< the MLP's
  LinearSpec gate;       ///< of a gated MLP, whose hidden units are activation(gate) * fc1; its
                         ///< rows lie before fc1's where both are parts of one weight
  std::string scale1, scale2;  ///< LayerScale of both branches, "" for none
  double first_scale = 0;      ///< its first value

  bool is_parallel() const { return arrangement == Arrangement::kParallel; }
  bool is_gated() const { return !gate.weight.empty(); }
  /// The layers that a block has, those of one weight side by side.
  std::vector<const LinearSpec*> layers() const;
  bool has_adapters() const;
  /// Whether images are those of one ensemble member after the other, as many of each.
  bool has_members() const { return fc1.fast.exists(); }
  bool has_wide_norms() const { return q_wide.exists(); }
  int64_t head_size() const { return width / heads; }
  /// Sections of qkv's rows that a mesh cuts, each for itself.
  std::vector<int64_t> qkv_sections() const { return {width, width, width}; }
  /// The serial MLP's in-projection where it is one: the gate's rows, then fc1's.
  LinearSpec hidden_projection() const;
  std::vector<int64_t> hidden_sections() const;
  /// The whole in-projection of the parallel block: the MLP's rows, then qkv's.
  LinearSpec in_projection() const;
  std::vector<int64_t> in_sections() const;
  /// Branches that join the residual stream one after the other.
  int64_t num_branches() const { return is_parallel() ? 1 : 2; }
};

/// The blocks of a model on one rank of a mesh, but for those of an ensemble.
///
/// throws  as ViTConfig::validate and check_block_cut
BlockSpec block_spec(const ViTConfig& config, const Mesh& mesh = single_process());
/// Its last blocks, where these are an ensemble's (BatchEnsemble, arXiv 2002.06715); else as above.
BlockSpec last_block_spec(const ViTConfig& config, const Mesh& mesh = single_process());

}  // namespace vit22b
