#pragma once
#include "checkpoint/import/importer.h"
#include "checkpoint/import/shapes.h"

namespace vit22b {

/// Each family: whether files are of it, and how they are read. What is read throws as Importer
/// says; a text tower is read under the names that a table of words has.

/// Hugging Face's vit, vit_msn, deit, vit_mae, ijepa, dinov2, dinov2_with_registers.
bool is_hf_vit(const ImportFiles& files);
Imported read_hf_vit(const ImportFiles& files, const TensorContainer& weights);
/// dinov3_vit.
bool is_hf_dinov3(const ImportFiles& files);
Imported read_hf_dinov3(const ImportFiles& files, const TensorContainer& weights);
/// clip, metaclip_2, siglip, siglip2; their text towers.
bool is_hf_clip(const ImportFiles& files);
Imported read_hf_clip(const ImportFiles& files, const TensorContainer& weights);
Imported read_hf_clip_text(const ImportFiles& files, const TensorContainer& weights);
/// aimv2.
bool is_hf_aimv2(const ImportFiles& files);
Imported read_hf_aimv2(const ImportFiles& files, const TensorContainer& weights);
Imported read_hf_aimv2_text(const ImportFiles& files, const TensorContainer& weights);
/// internvl_vision.
bool is_hf_internvl(const ImportFiles& files);
Imported read_hf_internvl(const ImportFiles& files, const TensorContainer& weights);
/// radio.
bool is_hf_radio(const ImportFiles& files);
Imported read_hf_radio(const ImportFiles& files, const TensorContainer& weights);
/// tipsv2.
bool is_hf_tips(const ImportFiles& files);
Imported read_hf_tips(const ImportFiles& files, const TensorContainer& weights);
/// sapiens2.
bool is_hf_sapiens2(const ImportFiles& files);
Imported read_hf_sapiens2(const ImportFiles& files, const TensorContainer& weights);

/// Authors' state dicts, by their tensors' names.

/// DINOv2's, with registers or without.
bool is_dinov2(const ImportFiles& files);
Imported read_dinov2(const ImportFiles& files, const TensorContainer& weights);
/// DINOv3's.
bool is_dinov3(const ImportFiles& files);
Imported read_dinov3(const ImportFiles& files, const TensorContainer& weights);
/// CLIP's names: OpenAI's, Perception Encoder's.
bool is_clip_state(const ImportFiles& files);
Imported read_clip_state(const ImportFiles& files, const TensorContainer& weights);
Imported read_clip_state_text(const ImportFiles& files, const TensorContainer& weights);
/// EVA-CLIP's.
bool is_eva_clip(const ImportFiles& files);
Imported read_eva_clip(const ImportFiles& files, const TensorContainer& weights);
Imported read_eva_clip_text(const ImportFiles& files, const TensorContainer& weights);
/// InternViT's own code: model_type intern_vit_6b.
bool is_intern_vit(const ImportFiles& files);
Imported read_intern_vit(const ImportFiles& files, const TensorContainer& weights);
/// AIMv2's, as Apple's code has them.
bool is_aimv2_state(const ImportFiles& files);
Imported read_aimv2_state(const ImportFiles& files, const TensorContainer& weights);
/// AIMv2's pool: a query without a projection, no norm, no MLP.
void take_bare_pool(RenamedTensors& tensors, ViTConfig& config);
/// Plain vision transformers in timm's names: DINO, DeiT, DeiT-III, MAE, I-JEPA.
bool is_plain_state(const ImportFiles& files);
Imported read_plain_state(const ImportFiles& files, const TensorContainer& weights);
/// AugReg's and big_vision's arrays.
bool is_big_vision(const ImportFiles& files);
Imported read_big_vision(const ImportFiles& files, const TensorContainer& weights);
Imported read_big_vision_text(const ImportFiles& files, const TensorContainer& weights);
/// open_clip's folders: open_clip_config.json.
bool is_open_clip(const ImportFiles& files);
Imported read_open_clip(const ImportFiles& files, const TensorContainer& weights);
Imported read_open_clip_text(const ImportFiles& files, const TensorContainer& weights);

}  // namespace vit22b
