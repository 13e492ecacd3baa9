public import TesseraCore

extension TesseraError {
  /// A folder that holds something else.
  public static func foreign(folder: String, entry: String) -> TesseraError {
    .mismatch(
      "the folder is not empty (it holds '\(entry)'); name a new or empty output folder",
      file: folder
    )
  }

  /// A folder that holds another plan's work.
  public static func otherPlan(folder: String, difference: String) -> TesseraError {
    .mismatch(
      "the folder holds the work of another plan (\(difference)); name another output folder, or repeat "
        + "the command that began this one",
      file: folder
    )
  }

  /// A folder without a plan.
  public static func notPlanned(folder: String) -> TesseraError {
    .mismatch(
      "no plan lies here; make one with tokenize INPUT… -o \(folder) --plan-only",
      file: folder
    )
  }

  /// Shards that are not done, by their numbers.
  public static func unfinished(folder: String, shards: [Int]) -> TesseraError {
    let shown = shards.prefix(8).map(String.init).joined(separator: ", ")
    return .mismatch(
      "\(shards.count) shards are not done: \(shown)\(shards.count > 8 ? ", …" : ""); "
        + "run them with --shards, then finish again",
      file: folder
    )
  }

  /// A shard that the plan does not have.
  public static func noSuchShard(folder: String, shard: Int, count: Int) -> TesseraError {
    .mismatch("the plan has shards 0 to \(count - 1), not \(shard)", file: folder)
  }

  /// A record of a run that is damaged.
  public static func damaged(file: String, reason: String) -> TesseraError {
    .malformed("\(reason); remove the output folder and start again", file: file)
  }
}
