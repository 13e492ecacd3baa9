/// One array as numpy's `save` writes it and `load` reads it.
public enum NPYFile {
  /// Reads a whole file: the elements come out row-major and little-endian, whatever the file says.
  ///
  /// - Parameters:
  ///   - bytes: The file.
  ///   - source: Its name for messages.
  /// - Returns: The array as a tensor.
  /// - Throws: An `TesseraError` where the header is refused or the data are not as long as it says.
  public static func decode(_ bytes: [UInt8], from source: String) throws(TesseraError) -> Tensor {
    let header = try NPYHeader(parsing: bytes, from: source)
    try header.check(fileByteCount: bytes.count, from: source)
    return header.tensor(data: Array(bytes[header.dataOffset...]))
  }

  /// The bytes of `numpy.save`, version 1.0, C order, little-endian.
  ///
  /// - Parameter tensor: Any tensor of a type that numpy has.
  /// - Returns: The file.
  /// - Throws: An `TesseraError` where numpy has no such element type (bfloat16, the 8-bit floats and narrower).
  public static func encode(_ tensor: Tensor) throws(TesseraError) -> [UInt8] {
    guard let header = NPYHeader(elementType: tensor.elementType, shape: tensor.shape)?.encoded
    else {
      throw TesseraError.malformed(
        "no .npy file holds such an array; widen the values to F32",
        file: "\(tensor.elementType.rawValue) \(tensor.shape)",
        place: "npy descr"
      )
    }
    return header + tensor.bytes
  }
}

extension NPYHeader {
  /// The tensor of a file with this header, from all bytes behind it.
  ///
  /// - Parameter data: Exactly `dataByteCount` bytes.
  /// - Returns: The elements row-major and little-endian.
  package func tensor(data: [UInt8]) -> Tensor {
    precondition(data.count == dataByteCount, "the file was checked before")
    var bytes = data
    makeLittleEndian(&bytes)
    // Without elements the other extents may be any numbers: nothing to reorder.
    if isFortranOrder, shape.rank > 1, !bytes.isEmpty { bytes = rowMajor(bytes) }
    return Tensor(elementType: elementType, shape: shape, bytes: bytes)
  }

  /// Turns elements as the file stores them into little-endian ones, in place.
  ///
  /// - Parameter bytes: Any run of whole elements.
  package func makeLittleEndian(_ bytes: inout [UInt8]) {
    guard isBigEndian else { return }
    // A complex number is two numbers in its file order.
    let isComplex = elementType == .complex64 || elementType == .complex128
    let width = elementType.bitWidth / (isComplex ? 16 : 8)
    for start in stride(from: 0, to: bytes.count, by: width) {
      for offset in 0..<width / 2 {
        bytes.swapAt(start + offset, start + width - 1 - offset)
      }
    }
  }

  /// Reorders column-major elements: walks the result in order and steps through the source.
  private func rowMajor(_ bytes: [UInt8]) -> [UInt8] {
    let width = elementType.bitWidth / 8
    var strides: [Int] = []
    var next = width
    for extent in shape.dimensions {
      strides.append(next)
      next *= extent
    }
    var index = [Int](repeating: 0, count: shape.rank)
    var source = 0
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count)
    while result.count < bytes.count {
      result.append(contentsOf: bytes[source..<source + width])
      for axis in shape.dimensions.indices.reversed() {
        index[axis] += 1
        source += strides[axis]
        if index[axis] < shape[axis] { break }
        source -= index[axis] * strides[axis]
        index[axis] = 0
      }
    }
    return result
  }
}
