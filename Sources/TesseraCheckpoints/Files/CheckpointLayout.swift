package import TesseraCore

/// A tensor in a file under construction: where its bytes go, counted from the start of the file.
package struct CheckpointEntry: Sendable {
  /// Name, type and shape, as the writer is given the elements.
  package let tensor: TensorInfo
  /// Where its bytes go; those of the tensor it repeats where it is an alias.
  package let bytes: Range<Int>
  /// How the elements are stored.
  package let encoding: CheckpointEncoding

  /// Creates an entry.
  package init(tensor: TensorInfo, bytes: Range<Int>, encoding: CheckpointEncoding = .plain) {
    (self.tensor, self.bytes, self.encoding) = (tensor, bytes, encoding)
  }
}

/// How a file stores the elements of a tensor.
package enum CheckpointEncoding: String, Sendable, Hashable {
  /// As they are, little-endian.
  case plain = "plain"
  /// GGUF's blocks of 32 integers of 8 bits with one scale, made of float32.
  case q8_0 = "Q8_0"

  /// The bytes that `count` elements of a type take; nil where the number overflows or is not whole.
  package func byteCount(elements count: Int, of type: ElementType) -> Int? {
    switch self {
    case .plain: return type.byteCount(elements: count)
    case .q8_0:
      let (blocks, rest) = count.quotientAndRemainder(dividingBy: QuantizedBlock.count)
      let (bytes, overflow) = blocks.multipliedReportingOverflow(by: QuantizedBlock.size)
      return rest == 0 && !overflow ? bytes : nil
    }
  }
}

/// What a checkpoint file says that is known only after the data.
public struct CheckpointEnding: Sendable {
  /// The strings to store; as long as those the layout was made with.
  public let metadata: [String: String]
  /// The CRC-32 of each tensor's bytes, where they are needed.
  public let checksums: [UInt32]
}

/// Where every byte of a checkpoint file goes, known before the first tensor is read.
///
/// Equal tensors and strings give equal bytes. The tensors' data may then arrive in any order: see
/// ``CheckpointFile``.
package protocol CheckpointLayout: Sendable {
  /// The tensors in the order in which their bytes lie in the file, which is the fastest to write.
  var tensors: [TensorInfo] { get }
  /// Whether the file states a CRC-32 of each tensor's bytes.
  var needsChecksums: Bool { get }

  /// Reserves the file's size and writes what is known before the data.
  ///
  /// - Returns: Where the data of each of `tensors` go.
  /// - Throws: `TesseraError`.
  func begin(_ file: inout AtomicFile) throws -> [CheckpointEntry]

  /// Writes what is known only after the data.
  ///
  /// - Parameters:
  ///   - file: The file that `begin` has prepared.
  ///   - ending: Strings and checksums.
  /// - Throws: `TesseraError`.
  func finish(_ file: inout AtomicFile, with ending: CheckpointEnding) throws
}

extension TensorInfo {
  /// The bytes that the elements take; nil where the number overflows or is not whole.
  public var byteCount: Int? {
    shape.elementCount.flatMap { elementType.byteCount(elements: $0) }
  }
}

extension AtomicFile {
  /// Writes a header once more, with the strings that are known by now.
  mutating func replace(_ header: [UInt8], by final: [UInt8]) throws {
    precondition(final.count == header.count, "the data stay where they are")
    try write(final, at: 0)
  }
}
