import Crypto
import Foundation
import TesseraCheckpoints
import TesseraCore

/// What h5py or Keras reads of one tensor.
struct GoldenTensor: Decodable {
  let dtype: String
  let shape: [Int]
  let sha256: String
}

extension CheckpointReader {
  /// A whole tensor, read in ranges of `step` elements.
  func bytes(of tensor: TensorInfo, step: Int = .max) throws -> [UInt8] {
    let count = tensor.shape.elementCount ?? 0
    let width = tensor.elementType.bitWidth / 8
    var bytes = [UInt8](repeating: 0xEE, count: count * width)
    try bytes.withUnsafeMutableBytes { buffer in
      var first = 0
      while first < count {
        let next = count - first > step ? first + step : count
        let part = UnsafeMutableRawBufferPointer(rebasing: buffer[first * width..<next * width])
        try read(first..<next, of: tensor, into: part)
        first = next
      }
    }
    return bytes
  }

  /// The SHA-256 of a tensor's bytes, in hexadecimal.
  func digest(of tensor: TensorInfo, step: Int = .max) throws -> String {
    SHA256.hash(data: try bytes(of: tensor, step: step))
      .map { String(format: "%02x", $0) }.joined()
  }

  /// The tensor of a name.
  func tensor(_ name: String) -> TensorInfo? { tensors.first { $0.name == name } }
}
