import TesseraCore
import TesseraImages

/// `tokenize --plan-only --json`.
package struct PlanSummary: Encodable {
  let inputs: Int
  let shards: Int
  let plan: String
  let captions: CaptionCounts?
  private let account: InputAccount

  private enum CodingKeys: String, CodingKey {
    case inputs, shards, plan, captions
  }

  package init(_ plan: DatasetPlan, captions: CaptionCounts?) {
    account = plan.account ?? InputAccount()
    self.captions = captions
    inputs = plan.inputs
    shards = plan.shardCount
    self.plan = plan.digest
  }

  /// Writes the account beside the counts.
  package func encode(to encoder: any Encoder) throws {
    try account.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(inputs, forKey: .inputs)
    try container.encode(shards, forKey: .shards)
    try container.encode(plan, forKey: .plan)
    try container.encodeIfPresent(captions, forKey: .captions)
  }
}

/// `tokenize --json`.
package struct DatasetSummary: Encodable {
  let inputs: Int
  let samples: Int
  let tokens: Int
  let rejected: Int
  let rejectedByStage: [String: Int]
  let shards: Int
  let seconds: Double
  let written: Int
  let imagesPerSecond: Double
  /// The share of all tasks' time that each stage took.
  let stages: [String: Double]
  /// What became of captions; nil where none were asked for, or where another run made the plan.
  let captions: CaptionCounts?
  private let account: InputAccount

  enum CodingKeys: String, CodingKey {
    case inputs, samples, tokens, rejected, shards, seconds, written, stages, captions
    case rejectedByStage = "rejected_by_stage"
    case imagesPerSecond = "images_per_second"
  }

  package init(
    manifest: DatasetManifest,
    rejectedByStage: [String: Int],
    seconds: Double,
    written: Int,
    times: StageTimes?,
    captions: CaptionCounts?
  ) {
    account = manifest.account
    self.captions = captions
    inputs = manifest.samples + manifest.rejected
    samples = manifest.samples
    tokens = manifest.tokens
    rejected = manifest.rejected
    self.rejectedByStage = rejectedByStage
    shards = manifest.shards.count
    (self.seconds, self.written) = (seconds, written)
    imagesPerSecond = seconds > 0 ? Double(written) / seconds : 0
    let spent = (times?.durations ?? [:]).mapValues { $0 / .seconds(1) }
    let total = spent.values.reduce(0, +)
    stages =
      total > 0
      ? Dictionary(
        uniqueKeysWithValues: BatchStage.allCases.map { ($0.rawValue, (spent[$0] ?? 0) / total) }
      ) : [:]
  }

  /// Writes the account beside the counts.
  package func encode(to encoder: any Encoder) throws {
    try account.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(inputs, forKey: .inputs)
    try container.encode(samples, forKey: .samples)
    try container.encode(tokens, forKey: .tokens)
    try container.encode(rejected, forKey: .rejected)
    try container.encode(rejectedByStage, forKey: .rejectedByStage)
    try container.encode(shards, forKey: .shards)
    try container.encode(seconds, forKey: .seconds)
    try container.encode(written, forKey: .written)
    try container.encode(imagesPerSecond, forKey: .imagesPerSecond)
    try container.encode(stages, forKey: .stages)
    try container.encodeIfPresent(captions, forKey: .captions)
  }

  package var text: String {
    var text = "\(samples) samples, \(tokens) tokens in \(shards) shards; \(rejected) rejected"
    if rejected > 0 {
      let stages = rejectedByStage.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
      text += " (\(stages.joined(separator: ", ")))"
    }
    return text
  }

  package var speedText: String {
    let shares = BatchStage.allCases.map { stage in
      "\(stage.rawValue) \(((stages[stage.rawValue] ?? 0) * 100).rounded(places: 1))%"
    }
    return "\(imagesPerSecond.rounded(places: 1)) images/s: \(shares.joined(separator: ", "))"
  }
}

/// What `rejected.jsonl` says: how many per stage, and the first few lines.
package struct RejectionSummary {
  package private(set) var stages: [String: Int] = [:]
  package private(set) var lines: [String] = []

  /// How many lines are shown; all are in the file.
  private static let shown = 5

  package init(folder: String) throws {
    try RejectionList(folder: folder).forEach { rejection in
      stages[rejection.stage.rawValue, default: 0] += 1
      if lines.count < Self.shown {
        lines.append("\(rejection.source): \(rejection.stage.rawValue): \(rejection.reason)")
      } else if lines.count == Self.shown {
        lines.append("… and more: \(folder)/\(DatasetManifest.rejectedFileName)")
      }
    }
  }
}
