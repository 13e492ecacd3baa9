/// Doubles at a fixed address, for C structures that hold pointers.
@safe final class DoubleStorage {
  let pointer: UnsafeMutablePointer<Double>
  let count: Int

  init(_ values: [Double]) {
    count = values.count
    unsafe pointer = UnsafeMutablePointer<Double>.allocate(capacity: max(1, values.count))
    unsafe pointer.initialize(from: values, count: values.count)
  }

  convenience init(zeros count: Int) { self.init([Double](repeating: 0, count: count)) }

  deinit { unsafe pointer.deallocate() }

  /// The values as an array.
  var values: [Double] { unsafe Array(UnsafeBufferPointer(start: pointer, count: count)) }

  func copy() -> DoubleStorage { DoubleStorage(values) }
}
