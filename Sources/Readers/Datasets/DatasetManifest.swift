/// `dataset.json`: what a dataset holds and how it was made.
///
/// It is written last, so a folder with a manifest is a complete dataset.
/// `schemas/dataset.schema.json` states the same.
public struct DatasetManifest: Codable, Hashable, Sendable {
  /// The file's name in the dataset's folder.
  public static let fileName = "dataset.json"
  /// The name of the list of rejected inputs in the dataset's folder.
  public static let rejectedFileName = "rejected.jsonl"

  /// How the dataset was made.
  public let settings: DatasetSettings
  /// The SHA-256 of the plan: the settings and every input's key, source and size.
  public let plan: String
  /// The number of samples in all shards.
  public let samples: Int
  /// The number of codes in all shards.
  public let tokens: Int
  /// The number of inputs in `rejected.jsonl`.
  public let rejected: Int
  /// The shards in order.
  public let shards: [DatasetShard]
  /// How the files hold the samples; nil for Tessera's own layout as `tokenize` wrote it.
  public let layout: DatasetLayout?

  private enum CodingKeys: String, CodingKey {
    case plan, samples, tokens, rejected, shards, columns, layout
  }

  /// Creates a manifest; the totals are the sums over `shards`.
  public init(
    settings: DatasetSettings,
    plan: String,
    rejected: Int,
    shards: [DatasetShard],
    layout: DatasetLayout? = nil
  ) {
    self.settings = settings
    self.plan = plan
    self.rejected = rejected
    self.shards = shards
    self.layout = layout
    samples = shards.reduce(0) { $0 + $1.samples }
    tokens = shards.reduce(0) { $0 + $1.tokens }
  }

  /// Reads a manifest; the settings stand beside the totals.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    settings = try DatasetSettings(from: decoder)
    plan = try container.decode(String.self, forKey: .plan)
    samples = try container.decode(Int.self, forKey: .samples)
    tokens = try container.decode(Int.self, forKey: .tokens)
    rejected = try container.decode(Int.self, forKey: .rejected)
    shards = try container.decode([DatasetShard].self, forKey: .shards)
    layout = try container.decodeIfPresent(DatasetLayout.self, forKey: .layout)
    // What others sum or divide by, checked once here: a manifest may come from anywhere.
    let counts = shards.map { [$0.samples, $0.tokens, $0.bytes] } + [[samples, tokens, rejected]]
    guard settings.isSound, layout?.isSound ?? true,
      counts.joined().allSatisfy({ (0...Self.largestCount).contains($0) })
    else {
      throw DecodingError.dataCorrupted(
        .init(codingPath: [], debugDescription: "a number is out of range")
      )
    }
  }

  /// The greatest count that is believed: sums of two, or ten of them, stay in range.
  private static let largestCount = 1 << 52

  /// Writes the settings beside the totals, in one object.
  public func encode(to encoder: any Encoder) throws {
    try settings.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(plan, forKey: .plan)
    try container.encode(samples, forKey: .samples)
    try container.encode(tokens, forKey: .tokens)
    try container.encode(rejected, forKey: .rejected)
    try container.encode(shards, forKey: .shards)
    try container.encode(columns, forKey: .columns)
    try container.encodeIfPresent(layout, forKey: .layout)
  }

  /// The names of what every sample has, as the layout stores them.
  public var columns: [String] {
    guard let layout else { return settings.columns }
    return layout.table.columns.map { layout.storedName(of: $0.name) }
  }
}

/// A file of a dataset that holds no samples of its own.
public struct DatasetFile: Codable, Hashable, Sendable {
  /// The path in the dataset's folder.
  public let name: String
  /// The size.
  public let bytes: Int
  /// The SHA-256, 64 hexadecimal digits.
  public let sha256: String

  /// Creates a description of a file.
  public init(name: String, bytes: Int, sha256: String) {
    self.name = name
    self.bytes = bytes
    self.sha256 = sha256
  }
}

/// What the manifest says of one shard.
public struct DatasetShard: Codable, Hashable, Sendable {
  /// The path in the dataset's folder, such as `shards/00000.tar`.
  public let name: String
  /// The number of samples.
  public let samples: Int
  /// The number of codes.
  public let tokens: Int
  /// The size of the file.
  public let bytes: Int
  /// The SHA-256 of the file, 64 hexadecimal digits.
  public let sha256: String

  /// Creates a description of a shard.
  public init(name: String, samples: Int, tokens: Int, bytes: Int, sha256: String) {
    self.name = name
    self.samples = samples
    self.tokens = tokens
    self.bytes = bytes
    self.sha256 = sha256
  }

  /// The path of a shard by its number: five digits, more where there are more shards than that.
  public static func name(of index: Int) -> String {
    let digits = String(index)
    return "shards/" + String(repeating: "0", count: max(0, 5 - digits.count)) + digits + ".tar"
  }
}
