#pragma once
#include <string>
#include <string_view>

namespace vit22b {

// TensorBoard's event files, which are TFRecords of the protobuf message Event: a record is the
// payload's length (8 bytes), a masked CRC-32C of the length (4), the payload, and a masked CRC-32C
// of the payload (4); everything little-endian.
// source  tensorflow core/lib/io/record_writer.h, core/util/event.proto, framework/summary.proto

/// The record that opens a file.
///
/// wall_time_s  since 1970
std::string first_event(double wall_time_s);

/// A row of metrics.jsonl as one record of scalars at the row's `step`: a list's values by their
/// place, "attention_entropy/3"; what is no number is left out. "" for a row without a step or
/// numbers, or that is no JSON.
std::string scalar_event(std::string_view json_line, double wall_time_s);

}  // namespace vit22b
