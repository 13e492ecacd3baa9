/// Zeroed floats at an address that is a multiple of 64, the cache line and the widest vector.
///
/// Whoever holds it decides who may write; it is Sendable because it has one owner.
@safe
struct AlignedFloats: ~Copyable, Sendable {
  /// The first of them.
  nonisolated(unsafe) let base: UnsafeMutablePointer<Float>
  /// Their number.
  let count: Int

  /// Allocates `count` zeros.
  init(count: Int) {
    let bytes = UnsafeMutableRawPointer.allocate(
      byteCount: max(count, 1) * MemoryLayout<Float>.stride,
      alignment: 64
    )
    unsafe base = bytes.bindMemory(to: Float.self, capacity: count)
    unsafe base.initialize(repeating: 0, count: count)
    self.count = count
  }

  deinit { unsafe base.deallocate() }

  /// The nearest multiple of 16 floats, 64 bytes, that is not below `count`.
  static func rounded(_ count: Int) -> Int { (count + 15) / 16 * 16 }
}
