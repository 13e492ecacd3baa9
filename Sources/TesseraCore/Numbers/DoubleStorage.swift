/// Doubles at a fixed address, for C structures that hold pointers.
@safe package final class DoubleStorage {
  package let pointer: UnsafeMutablePointer<Double>
  package let count: Int

  package init(_ values: [Double]) {
    count = values.count
    unsafe pointer = UnsafeMutablePointer<Double>.allocate(capacity: max(1, values.count))
    unsafe pointer.initialize(from: values, count: values.count)
  }

  package convenience init(zeros count: Int) { self.init([Double](repeating: 0, count: count)) }

  deinit { unsafe pointer.deallocate() }

  /// The values as an array.
  package var values: [Double] { unsafe Array(UnsafeBufferPointer(start: pointer, count: count)) }

  package func copy() -> DoubleStorage { DoubleStorage(values) }
}
