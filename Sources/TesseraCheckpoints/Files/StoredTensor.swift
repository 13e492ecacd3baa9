import TesseraCore

/// How a tensor's elements lie in the bytes of a storage.
struct StoredTensor: Sendable, Hashable {
  let elementType: ElementType
  let shape: Shape
  /// The distance between neighbours on each axis, in elements; never negative.
  let strides: [Int]
  /// Where the first element lies, in elements.
  let offset: Int
  /// Whether numbers of more than one byte are stored with the high byte first.
  var isBigEndian = false
  /// Whether the value is the conjugate of what is stored.
  var isConjugated = false
  /// Whether the value is the negative of what is stored.
  var isNegated = false

  /// A tensor whose elements follow one another from a place on.
  init(elementType: ElementType, shape: Shape, offset: Int = 0) {
    (self.elementType, self.shape, self.offset) = (elementType, shape, offset)
    strides = StoredTensor.rowMajorStrides(of: shape)
  }

  /// A tensor with strides; nil where the elements do not lie in `storageBytes` bytes, or where a
  /// number overflows.
  init?(
    elementType: ElementType,
    shape: Shape,
    strides: [Int],
    offset: Int,
    storageBytes: Int
  ) {
    guard strides.count == shape.rank, offset >= 0, strides.allSatisfy({ $0 >= 0 }),
      let count = shape.elementCount, elementType.byteCount(elements: count) != nil
    else { return nil }
    (self.elementType, self.shape, self.offset) = (elementType, shape, offset)
    // The strides of axes that are never stepped along mean nothing.
    self.strides = zip(shape.dimensions, strides).map { $0 <= 1 ? 0 : $1 }
    guard count > 0 else { return }
    guard let last = StoredTensor.last(offset, shape, self.strides),
      let end = elementType.byteCount(elements: last + 1), end <= storageBytes
    else { return nil }
  }

  /// The index of the last element in the storage; nil where it overflows.
  private static func last(_ offset: Int, _ shape: Shape, _ strides: [Int]) -> Int? {
    var last = offset
    for (extent, stride) in zip(shape.dimensions, strides) where extent > 1 {
      let (distance, overflow) = (extent - 1).multipliedReportingOverflow(by: stride)
      let (sum, carry) = last.addingReportingOverflow(distance)
      if overflow || carry { return nil }
      last = sum
    }
    return last < Int.max ? last : nil
  }

  /// The strides of elements that follow one another; 0 for axes of one element.
  static func rowMajorStrides(of shape: Shape) -> [Int] {
    var strides = [Int](repeating: 0, count: shape.rank)
    var step = 1
    for axis in shape.dimensions.indices.reversed() {
      strides[axis] = shape[axis] <= 1 ? 0 : step
      // A tensor without elements may have extents whose product overflows.
      step = step.multipliedReportingOverflow(by: max(1, shape[axis])).partialValue
    }
    return strides
  }

  /// Whether the elements follow one another in row-major order.
  var isRowMajor: Bool {
    strides == StoredTensor.rowMajorStrides(of: shape) || shape.dimensions.contains(0)
  }

  /// Turns stored bytes into the value's: little-endian, conjugated, negated.
  func finish(_ buffer: UnsafeMutableRawBufferPointer) {
    let isComplex = elementType == .complex64 || elementType == .complex128
    let width = elementType.bitWidth / (isComplex ? 16 : 8)
    if isBigEndian, width > 1 {
      for start in stride(from: 0, to: buffer.count - width + 1, by: width) {
        for index in 0..<width / 2 {
          unsafe buffer.swapAt(start + index, start + width - 1 - index)
        }
      }
    }
    let isSigned = [.float16, .bfloat16, .float32, .float64].contains(elementType) || isComplex
    guard isSigned, isConjugated || isNegated else { return }
    // The sign is the top bit of each part's last byte; imaginary parts come second.
    for (part, start) in stride(from: 0, to: buffer.count - width + 1, by: width).enumerated() {
      let isImaginary = isComplex && part % 2 == 1
      if isNegated != (isConjugated && isImaginary) {
        unsafe buffer[start + width - 1] ^= 0x80
      }
    }
  }
}

extension FileRegion {
  /// Reads a range of a tensor's elements in row-major order, finished.
  ///
  /// Elements that follow one another come straight from the file. Others are gathered a box at a
  /// time into `window`, which then serves the ranges that follow.
  func read(
    _ elements: Range<Int>,
    of tensor: StoredTensor,
    named name: String,
    into buffer: UnsafeMutableRawBufferPointer,
    through window: GatherWindow
  ) throws {
    guard !elements.isEmpty else { return }
    let width = tensor.elementType.bitWidth
    if tensor.isRowMajor {
      let start = (tensor.offset + elements.lowerBound) * width / 8
      try unsafe read(at: start, into: buffer)
      unsafe tensor.finish(buffer)
      return
    }
    var first = elements.lowerBound
    while first < elements.upperBound {
      let end = try window.withBox(at: first, of: tensor, named: name, in: self) { box, bytes in
        let next = min(box.upperBound, elements.upperBound)
        let from = (first - box.lowerBound) * width / 8
        let count = (next - first) * width / 8
        let place = (first - elements.lowerBound) * width / 8
        unsafe bytes.withUnsafeBytes { source in
          let target = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[place..<place + count])
          unsafe target.copyMemory(
            from: UnsafeRawBufferPointer(rebasing: source[from..<from + count])
          )
        }
        return next
      }
      first = end
    }
  }
}
