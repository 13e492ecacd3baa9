import Foundation
import TesseraCore

/// A PyTorch checkpoint in several files under an index, such as `pytorch_model.bin.index.json`.
///
/// The index must name exactly the tensors that are there, each in its file.
package struct TorchShards: TableCheckpoint {
  /// The ending of an index's name.
  package static let suffix = ".bin.index.json"

  /// The format of the shards.
  package let format: String
  /// Every tensor, shard by shard; the scalars of the index's `metadata`, and what the shards hold beside
  /// tensors.
  let table: TensorTable<ReaderTensor>
  /// What was noticed.
  package let notes: [String]

  /// Opens an index and the files that it names.
  ///
  /// - Parameter path: The index.
  /// - Throws: `TesseraError` for a damaged index, or what a shard's reader throws.
  package init(path: String) throws {
    let index = try SafetensorsIndex(path: path)
    let names = index.shards
    var shards: [TorchCheckpoint] = []
    for name in names {
      let shard = try TorchCheckpoint(path: index.path(ofShard: name))
      for tensor in shard.tensors {
        guard index.shardOfTensor[tensor.name] == name else {
          let stated = index.shardOfTensor[tensor.name].map { "says '\($0)'" } ?? "lacks it"
          let cause = "is in '\(name)', the weight_map \(stated)"
          throw TesseraError.malformed(cause, file: path, place: tensor.name)
        }
      }
      shards.append(shard)
    }
    var found = TensorTable<ReaderTensor>(files: shards.flatMap(\.files))
    for shard in shards {
      for tensor in shard.tensors {
        found.add(tensor, at: ReaderTensor(tensor, of: shard))
      }
    }
    for (tensor, name) in index.shardOfTensor.sorted(by: { $0.key < $1.key })
    where found.place(of: tensor) == nil {
      let cause = "the weight_map says '\(name)', which does not hold it"
      throw TesseraError.malformed(cause, file: path, place: tensor)
    }
    format = shards.first?.format ?? "torch-zip"
    found.refusals = shards.flatMap(\.refusals)
    notes = ["\(shards.count) shards under the index '\(path)'"] + shards.flatMap(\.notes)
    found.attributes = shards.reduce(into: index.metadata) { all, shard in
      all.merge(shard.attributes) { first, _ in first }
    }
    table = found
  }
}
