#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>

namespace vit22b {

/// Where weights and optimizer state lie between their uses.
class StateMemory {
 public:
  virtual ~StateMemory() = default;
  /// A tensor of zeros that lives as long as this.
  virtual at::Tensor zeros(at::IntArrayRef shape, at::ScalarType dtype) = 0;
  /// The tensor is used soon: reading it may begin.
  virtual void will_need(const at::Tensor&) {}
  /// The tensor where it is computed with: itself, or a copy on a device that all who use it share
  /// until it is released.
  virtual at::Tensor in_use(const at::Tensor& tensor) { return tensor; }
  /// The copy in use has changed, and its values are to lie here.
  virtual void put_back(const at::Tensor&) {}
  /// The tensor is not used for a while; its values stay. Tensors of another memory are left alone.
  virtual void release(const at::Tensor&) {}
  /// Waits until all that was put back lies here, and forgets every copy: tensors can be read and
  /// written in place.
  virtual void settle() {}
  /// Whether tensors are used where they lie.
  virtual bool is_keeping() const { return true; }
};

/// The memory of a device.
class DeviceMemory : public StateMemory {
 public:
  explicit DeviceMemory(c10::Device device) : device_(device) {}
  at::Tensor zeros(at::IntArrayRef shape, at::ScalarType dtype) override;

 private:
  c10::Device device_;
};

/// A file mapped into memory, of which only what is in use counts as this process's own. It is
/// scratch: it lives as long as this object, after a crash it is made anew from a checkpoint, and
/// nothing is ever read from an old one.
class StateFile : public StateMemory {
 public:
  /// owner   says whose file it is: an existing file of another owner is not touched
  /// throws  UsageError naming the file when it is another's, in use by another process, or cannot
  ///         be made
  StateFile(const std::filesystem::path& path, const std::string& owner);
  ~StateFile() override;
  StateFile(const StateFile&) = delete;
  StateFile& operator=(const StateFile&) = delete;

  /// throws  UsageError when the disk has no room
  at::Tensor zeros(at::IntArrayRef shape, at::ScalarType dtype) override;
  void will_need(const at::Tensor& tensor) override;
  void release(const at::Tensor& tensor) override;
  int64_t size_bytes() const { return size_; }

 private:
  void check_owner(const std::string& owner) const;
  void advise(const at::Tensor& tensor, int advice) const;

  std::filesystem::path path_;
  int descriptor_ = -1;
  int64_t size_ = 0;
  std::map<void*, size_t> mappings_;  ///< whole pages, by where they begin
};

}  // namespace vit22b
