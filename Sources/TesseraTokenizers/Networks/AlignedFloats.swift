internal import Foundation

/// Zeroed floats at an address that is a multiple of 64, the cache line and the widest vector.
///
/// Whoever holds it decides who may write; it is Sendable because it has one owner.
@safe
struct AlignedFloats: ~Copyable, Sendable {
  /// The first of them.
  nonisolated(unsafe) let base: UnsafeMutablePointer<Float>
  /// Their number.
  let count: Int

  /// The extent of a large page.
  private static let pageSize = 1 << 21

  /// Allocates `count` zeros.
  ///
  /// Weights pass once an image: on large pages, where the system has any, their addresses are found in time.
  init(count: Int) {
    let size = max(count, 1) * MemoryLayout<Float>.stride
    let isLarge = size >= 2 * Self.pageSize
    let bytes = UnsafeMutableRawPointer.allocate(
      byteCount: size,
      alignment: isLarge ? Self.pageSize : 64
    )
    if isLarge { _ = unsafe madvise(bytes, size / Self.pageSize * Self.pageSize, MADV_HUGEPAGE) }
    unsafe base = bytes.bindMemory(to: Float.self, capacity: count)
    unsafe base.initialize(repeating: 0, count: count)
    self.count = count
  }

  deinit { unsafe base.deallocate() }

  /// The nearest multiple of 16 floats, 64 bytes, that is not below `count`.
  static func rounded(_ count: Int) -> Int { (count + 15) / 16 * 16 }
}
