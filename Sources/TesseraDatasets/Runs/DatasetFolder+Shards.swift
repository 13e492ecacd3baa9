package import TesseraTokenizers

/// What a run over the shards of a plan has come to.
public enum ShardProgress: Sendable {
  /// A shard was done before, with so many inputs.
  case found(inputs: Int)
  /// One more input is a sample or rejected.
  case input
  /// A shard is done; with those before it in this run it has so many inputs.
  case shard(inputs: Int)
}

/// What a run over shards has made.
package struct ShardSummary: Sendable {
  /// The samples that this run wrote; those of shards that were done before do not count.
  package fileprivate(set) var written = 0
  /// How long all tasks together spent in each stage.
  package let times: StageTimes
}

extension DatasetFolder {
  /// Runs those shards of a plan that are not done yet.
  ///
  /// - Parameters:
  ///   - shards: The numbers of the shards.
  ///   - plan: The plan of this folder.
  ///   - tokenizer: The plan's tokenizer, opened for encoding; nil where it is not open yet.
  ///   - workers: How many images are in flight; changes no byte of the output.
  ///   - progress: Hears of each input and shard, in order.
  /// - Returns: What this run made.
  /// - Throws: As ``ImageTokenization/init(settings:tokenizer:)`` and
  ///   ``run(shard:of:workers:sample:times:progress:)``.
  package func run(
    shards: [Int],
    of plan: DatasetPlan,
    tokenizer: ImageTokenizer? = nil,
    workers: Int,
    progress: (ShardProgress) -> Void = { _ in }
  ) async throws -> ShardSummary {
    let tokenizer = try tokenizer ?? ImageTokenizer(opening: plan.tokenizer, for: .encoder)
    let images = try ImageTokenization(settings: plan.settings, tokenizer: tokenizer)
    var summary = ShardSummary(times: images.times)
    var done = 0
    for shard in shards {
      let inputs = plan.inputCount(ofShard: shard)
      done += inputs
      if try record(ofShard: shard) != nil {
        progress(.found(inputs: inputs))
      } else {
        let finished = try await run(
          shard: shard,
          of: plan,
          workers: workers,
          sample: images.sample,
          times: images.times
        ) { _ in progress(.input) }
        summary.written += finished.samples
      }
      progress(.shard(inputs: done))
    }
    return summary
  }
}
