import Foundation
import TesseraCore
package import TesseraImages

/// What became of one input.
package enum SampleOutcome: Sendable {
  /// It is a sample.
  case sample(TokenSample)
  /// It is none, for this reason.
  case rejected(Rejection)
}

/// What the journal says of a finished shard.
package struct ShardRecord: Codable, Hashable, Sendable {
  /// What the manifest will say of it.
  package let shard: DatasetShard
  /// The inputs of this shard that are not in it.
  package let rejections: [Rejection]
  /// Its MD5, which the index of wids has.
  package let md5: String
  /// The file of offsets beside it; nil where it has none.
  package let offsets: DatasetFile?
}

extension DatasetFolder {
  /// The journal's record of a shard whose file is there as recorded, or nil: it is to be run.
  package func record(ofShard index: Int) throws -> ShardRecord? {
    guard try FileTree.exists(recordPath(ofShard: index)) else { return nil }
    let record = try decode(ShardRecord.self, at: recordPath(ofShard: index))
    let files = [record.shard.file] + (record.offsets.map { [$0] } ?? [])
    return files.allSatisfy { FileTree.size(of: "\(path)/\($0.name)") == $0.bytes } ? record : nil
  }

  /// Writes one shard and its record in the journal: the second of the three steps.
  ///
  /// Running a shard again writes the same bytes again.
  ///
  /// - Parameters:
  ///   - index: The number of the shard.
  ///   - plan: The plan of this folder.
  ///   - workers: How many images are in flight.
  ///   - sample: Makes a sample of an input, on any thread. Errors it throws end the run: what is
  ///     wrong with the input alone is a rejection.
  ///   - times: Takes the time of writing.
  ///   - progress: Hears of each input, in order.
  /// - Returns: What the manifest will say of the shard.
  /// - Throws: `TesseraError` where the disk refuses, and what `sample` throws.
  package func run(
    shard index: Int,
    of plan: DatasetPlan,
    workers: Int,
    sample: @escaping @concurrent @Sendable (PlannedInput) async throws -> SampleOutcome,
    times: StageTimes = StageTimes(),
    progress: (SampleOutcome) -> Void = { _ in }
  ) async throws -> DatasetShard {
    guard (0..<plan.shardCount).contains(index) else {
      throw TesseraError.noSuchShard(folder: path, shard: index, count: plan.shardCount)
    }
    do {
      return try await write(
        shard: index,
        of: plan,
        workers: workers,
        sample: sample,
        times: times,
        progress: progress
      )
    } catch {
      // Another process ran the same shard, finished the dataset and cleaned up meanwhile.
      if case .complete(let manifest)? = try? content(), manifest.plan == plan.digest {
        return manifest.shards[min(index, manifest.shards.count - 1)]
      }
      throw error
    }
  }

  private func write(
    shard index: Int,
    of plan: DatasetPlan,
    workers: Int,
    sample: @escaping @concurrent @Sendable (PlannedInput) async throws -> SampleOutcome,
    times: StageTimes,
    progress: (SampleOutcome) -> Void
  ) async throws -> DatasetShard {
    let name = Self.shardPrefix(of: plan.settings) + DatasetShard.name(of: index)
    var shard = try WebDatasetShard(name: name, in: path)
    var rejections: [Rejection] = []
    try await inputs(ofShard: index).mapInOrder(width: workers, sample) { outcome in
      switch outcome {
      case .sample(let sample): try times.measure(.writing) { try shard.append(sample) }
      case .rejected(let rejection): rejections.append(rejection)
      }
      progress(outcome)
    }
    let clock = ContinuousClock()
    let start = clock.now
    let finished = try shard.commit()
    let record = ShardRecord(
      shard: finished.shard,
      rejections: rejections,
      md5: finished.md5,
      offsets: try writeOffsets(of: finished, plan.settings)
    )
    try FileTree.write(try CanonicalJSON.line(record), to: recordPath(ofShard: index))
    times.add(clock.now - start, to: .writing)
    return record.shard
  }

  /// Writes where each sample of a shard starts, beside it; a shard that another layout is made of, or that
  /// has no samples, needs no such file.
  private func writeOffsets(
    of finished: WebDatasetShard.Finished,
    _ settings: DatasetSettings
  ) throws -> DatasetFile? {
    guard settings.export == nil, finished.shard.samples > 0 else { return nil }
    let name = WebDatasetIndex.offsetsName(of: finished.shard.name)
    try FileTree.write(finished.offsets, to: "\(path)/\(name)")
    return DatasetFile(
      name: name,
      bytes: finished.offsets.count,
      sha256: FileDigest.sha256(of: finished.offsets)
    )
  }
}
