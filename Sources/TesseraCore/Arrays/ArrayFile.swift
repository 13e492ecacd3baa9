/// An open .npy file, read a range of elements at a time: its size is bounded by the disk.
///
/// Only a column-major array of more than one long axis is read whole, to be reordered; such a file
/// may have up to 1 GiB.
package struct ArrayFile: Sendable {
  /// What the file says of its array.
  package let header: NPYHeader
  private let region: FileRegion
  /// A column-major array's elements, reordered.
  private let reordered: Tensor?

  private static let longestColumnMajor = 1 << 30

  /// Opens a file and checks its header against its length.
  ///
  /// - Parameter path: A regular file.
  /// - Throws: `TesseraError` where the system refuses, or where the file is no array.
  package init(path: String) throws {
    region = try FileRegion(path: path)
    let prefix = try region.bytes(0..<min(region.length, NPYHeader.longestPrefix))
    header = try NPYHeader(parsing: prefix, from: path)
    try header.check(fileByteCount: region.length, from: path)
    let isReordered = header.isFortranOrder && header.shape.dimensions.count(where: { $0 > 1 }) > 1
    guard isReordered else {
      reordered = nil
      return
    }
    guard header.dataByteCount <= ArrayFile.longestColumnMajor else {
      throw TesseraError.malformed(
        "\(header.dataByteCount) bytes in column-major order, and at most 1 GiB can be "
          + "reordered here; save numpy.ascontiguousarray of it",
        file: path,
        place: "npy fortran_order"
      )
    }
    reordered = header.tensor(data: try region.bytes(header.dataOffset..<region.length))
  }

  /// Reads a range of elements, counted in row-major order.
  ///
  /// - Parameter elements: A range inside the array.
  /// - Returns: The elements as a tensor of one axis.
  /// - Throws: `TesseraError` where the file ends early or cannot be read.
  package func read(_ elements: Range<Int>) throws(TesseraError) -> Tensor {
    let width = header.elementType.bitWidth / 8
    let bytes: [UInt8]
    if let reordered {
      bytes = Array(reordered.bytes[elements.lowerBound * width..<elements.upperBound * width])
    } else {
      let start = header.dataOffset
      var stored = try region.bytes(
        start + elements.lowerBound * width..<start + elements.upperBound * width
      )
      header.makeLittleEndian(&stored)
      bytes = stored
    }
    return Tensor(elementType: header.elementType, shape: [elements.count], bytes: bytes)
  }
}
