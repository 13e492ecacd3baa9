import Foundation
import TesseraCore

/// A PyTorch checkpoint in several files under an index, such as `pytorch_model.bin.index.json`.
///
/// The index must name exactly the tensors that are there, each in its file.
public struct TorchShards: CheckpointReader {
  /// The ending of an index's name.
  public static let suffix = ".bin.index.json"

  /// The format of the shards.
  public let format: String
  /// Every tensor; shard by shard.
  public let tensors: [TensorInfo]
  /// The scalars of the index's `metadata`, and what the shards hold beside tensors.
  public let attributes: [String: String]
  /// What was noticed.
  public let notes: [String]
  /// Tensors that cannot be read exactly.
  public let refusals: [TensorRefusal]
  /// The shards.
  public let files: [String]

  private let shards: [TorchCheckpoint]
  private let shardOfTensor: [String: Int]

  /// Opens an index and the files that it names.
  ///
  /// - Parameter path: The index.
  /// - Throws: `TesseraError` for a damaged index, or what a shard's reader throws.
  public init(path: String) throws {
    let index = try SafetensorsIndex(path: path)
    let names = index.shards
    var shards: [TorchCheckpoint] = []
    var shardOfTensor: [String: Int] = [:]
    for (number, name) in names.enumerated() {
      let shard = try TorchCheckpoint(path: index.path(ofShard: name))
      for tensor in shard.tensors {
        guard index.shardOfTensor[tensor.name] == name else {
          let stated = index.shardOfTensor[tensor.name].map { "says '\($0)'" } ?? "lacks it"
          let cause = "is in '\(name)', the weight_map \(stated)"
          throw TesseraError.malformed(cause, file: path, place: tensor.name)
        }
        shardOfTensor[tensor.name] = number
      }
      shards.append(shard)
    }
    for (tensor, name) in index.shardOfTensor.sorted(by: { $0.key < $1.key })
    where shardOfTensor[tensor] == nil {
      let cause = "the weight_map says '\(name)', which does not hold it"
      throw TesseraError.malformed(cause, file: path, place: tensor)
    }
    self.shards = shards
    self.shardOfTensor = shardOfTensor
    format = shards.first?.format ?? "torch-zip"
    tensors = shards.flatMap(\.tensors)
    files = shards.flatMap(\.files)
    refusals = shards.flatMap(\.refusals)
    notes = ["\(shards.count) shards under the index '\(path)'"] + shards.flatMap(\.notes)
    attributes = shards.reduce(into: index.metadata) { all, shard in
      all.merge(shard.attributes) { first, _ in first }
    }
  }

  /// Reads a range of elements; see `CheckpointReader`.
  public func read(
    _ elements: Range<Int>,
    of tensor: TensorInfo,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws {
    guard let shard = shardOfTensor[tensor.name] else {
      preconditionFailure("'\(tensor.name)' is no tensor of this checkpoint")
    }
    try unsafe shards[shard].read(elements, of: tensor, into: buffer)
  }
}
