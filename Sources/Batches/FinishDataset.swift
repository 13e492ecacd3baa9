import Foundation
public import Readers
import Writers

extension DatasetFolder {
  /// Turns finished shards into a dataset: the last of the three steps.
  ///
  /// Checks that every shard is done, writes `rejected.jsonl`, then `dataset.json`, then removes
  /// the journal and what killed runs left behind. May be repeated, also after being killed.
  ///
  /// - Throws: `DatasetFolderError` where nothing was planned or a shard is missing.
  public func finish() throws -> DatasetManifest {
    switch try content() {
    case .empty:
      throw DatasetFolderError.notPlanned(folder: path)
    case .complete(let manifest):
      clean()
      return manifest
    case .planned(let plan):
      let missing = try (0..<plan.shardCount).filter { try record(ofShard: $0) == nil }
      guard missing.isEmpty else {
        throw DatasetFolderError.unfinished(folder: path, shards: missing)
      }
      let manifest = try publishManifest(of: plan)
      clean()
      return manifest
    }
  }

  private func publishManifest(of plan: DatasetPlan) throws -> DatasetManifest {
    var rejected = 0
    var shards: [DatasetShard] = []
    var list = try AtomicFile(path: "\(path)/\(DatasetManifest.rejectedFileName)")
    for index in 0..<plan.shardCount {
      let record = try decode(ShardRecord.self, at: recordPath(ofShard: index))
      for rejection in record.rejections { try list.write(try CanonicalJSON.line(rejection)) }
      rejected += record.rejections.count
      shards.append(record.shard)
    }
    try list.commit()
    let manifest = DatasetManifest(
      settings: plan.settings,
      plan: plan.digest,
      rejected: rejected,
      shards: shards
    )
    try FileTree.write(try CanonicalJSON.document(manifest), to: manifestPath)
    return manifest
  }

  /// Removes the plan, the journal and the partial files of runs that were killed.
  private func clean() {
    FileTree.remove(work)
    for folder in [path, "\(path)/shards"] {
      for name in (try? FileTree.entries(of: folder)) ?? [] where name.hasPrefix(".partial-") {
        FileTree.remove("\(folder)/\(name)")
      }
    }
  }
}
