import TesseraCheckpoints
import TesseraCore

/// The files of a conversion's result, all of which appear at once.
public struct ConvertedFiles: Sendable, Hashable {
  /// The checkpoint itself: one file, or its shards in order.
  public let weights: [String]
  /// The index of the shards, where there are several.
  public let index: String?
  /// What stands beside the checkpoint.
  public let companions: [String]
  /// What was rounded, as it was.
  public let originals: String?

  init(of conversion: CheckpointConversion, _ sharding: SafetensorsSharding, under path: String) {
    weights = sharding.shards.indices.map { sharding.path(of: $0, under: path) }
    index = sharding.indexPath(under: path)
    companions = conversion.companions.map { AtomicFile.sibling($0.name, of: path) }
    originals =
      conversion.rounded.isEmpty
      ? nil : ExactOriginals.path(beside: sharding.indexPath(under: path) ?? path)
  }

  /// The file by which the result is opened.
  public var result: String { index ?? weights[0] }

  /// All of them: weights, index, companions, originals.
  public var all: [String] {
    weights + [index].compactMap(\.self) + companions + [originals].compactMap(\.self)
  }

  /// The folders in which they are.
  var folders: Set<String> { Set(all.map(AtomicFile.folder)) }
}
