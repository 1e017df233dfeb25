#pragma once
#include <memory>
#include <vector>

#include "core/byte_store.h"

namespace vit22b {

/// A view of elements in a store: transposed, a slice, or repeated.
struct StridedView {
  size_t begin = 0;                     ///< byte of the element that has only zeros as indices
  size_t element_bytes = 1;             ///< of one element
  std::vector<int64_t> shape, strides;  ///< strides in elements, none negative
};

/// Whether a view's elements lie in one piece in C order.
bool is_contiguous(const StridedView& view);

/// The bytes from a view's first element to behind its last; nothing where they overflow.
std::optional<int64_t> checked_span_bytes(const StridedView& view);

/// The elements of a view in C order. What they lie in is read at the first read, and kept until
/// the last element has been read.
///
/// source  has to live as long, and to have the view's bytes
std::unique_ptr<ByteStore> strided_bytes(const ByteStore& source, StridedView view);

}  // namespace vit22b
