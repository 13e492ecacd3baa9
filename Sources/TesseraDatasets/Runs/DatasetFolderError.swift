public import TesseraCore

/// Why a folder cannot take, continue or finish a dataset.
public enum DatasetFolderError: ClassifiedError, Hashable {
  /// The folder holds something that no plan of ours put there.
  case foreign(folder: String, entry: String)
  /// The folder holds the work of a plan with other settings or inputs.
  case otherPlan(folder: String, difference: String)
  /// A shard is to be run, or the dataset finished, where nothing was planned.
  case notPlanned(folder: String)
  /// Finishing found shards that are not done.
  case unfinished(folder: String, shards: [Int])
  /// A shard was asked for that the plan does not have.
  case noSuchShard(folder: String, shard: Int, count: Int)
  /// A file of the plan or the journal cannot be understood.
  case damaged(file: String, reason: String)

  /// Malformed input for a damaged file, a mismatch otherwise.
  public var kind: FailureKind {
    if case .damaged = self { .malformedInput } else { .mismatch }
  }

  /// One line with the remedy.
  public var description: String {
    switch self {
    case .foreign(let folder, let entry):
      "\(folder): the folder is not empty (it holds '\(entry)'); name a new or empty output folder"
    case .otherPlan(let folder, let difference):
      "\(folder): the folder holds the work of another plan (\(difference)); "
        + "name another output folder, or repeat the command that began this one"
    case .notPlanned(let folder):
      "\(folder): no plan lies here; make one with tokenize INPUT… -o \(folder) --plan-only"
    case .unfinished(let folder, let shards):
      "\(folder): \(shards.count) shards are not done: \(Self.list(shards)); "
        + "run them with --shards, then finish again"
    case .noSuchShard(let folder, let shard, let count):
      "\(folder): the plan has shards 0 to \(count - 1), not \(shard)"
    case .damaged(let file, let reason):
      "\(file): \(reason); remove the output folder and start again"
    }
  }

  /// The first few numbers; there may be thousands.
  private static func list(_ shards: [Int]) -> String {
    let shown = shards.prefix(8).map(String.init).joined(separator: ", ")
    return shards.count > 8 ? shown + ", …" : shown
  }
}
