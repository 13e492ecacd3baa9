import TesseraCore
public import TesseraImages

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
  /// What was met beside the inputs: it is stated where something was passed over.
  public let account: InputAccount
  /// The shards in order.
  public let shards: [DatasetShard]
  /// How the files hold the samples; nil for Tessera's own layout as `tokenize` wrote it.
  public let layout: DatasetLayout?
  /// The files that neither hold samples nor belong to the layout: `rejected.jsonl`, and the indices of
  /// shards as `tokenize` wrote them.
  public let files: [DatasetFile]

  private enum CodingKeys: String, CodingKey {
    case plan, samples, tokens, rejected, shards, columns, layout, files
    case digest = "manifest_sha256"
  }

  /// Creates a manifest; the totals are the sums over `shards`.
  public init(
    settings: DatasetSettings,
    plan: String,
    rejected: Int,
    account: InputAccount = InputAccount(),
    shards: [DatasetShard],
    layout: DatasetLayout? = nil,
    files: [DatasetFile] = []
  ) {
    self.settings = settings
    self.plan = plan
    self.rejected = rejected
    self.account = account
    self.shards = shards
    self.layout = layout
    self.files = files
    samples = shards.reduce(0) { $0 + $1.samples }
    tokens = shards.reduce(0) { $0 + $1.tokens }
  }

  /// Reads a manifest; the settings stand beside the totals.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    settings = try DatasetSettings(from: decoder)
    plan = try container.decode(String.self, forKey: .plan)
    samples = try container.count(.samples)
    tokens = try container.count(.tokens)
    rejected = try container.count(.rejected)
    account = try InputAccount(from: decoder)
    shards = try container.decode([DatasetShard].self, forKey: .shards)
    layout = try container.decodeIfPresent(DatasetLayout.self, forKey: .layout)
    files = try container.decodeIfPresent([DatasetFile].self, forKey: .files) ?? []
    // No sum of them, wherever it is made, leaves its type.
    func check(_ key: CodingKeys, _ counts: [Int]) throws {
      guard counts.reduce(0.0, { $0 + Double($1) }) > 0x1p56 else { return }
      throw DecodingError.dataCorruptedError(
        forKey: key,
        in: container,
        debugDescription: "their sum is beyond 2^56"
      )
    }
    for total in [\DatasetShard.samples, \.tokens, \.bytes] {
      try check(.shards, shards.map { $0[keyPath: total] })
    }
    try check(.layout, layout?.files.map(\.bytes) ?? [])
    try check(.files, files.map(\.bytes))
    // A manifest may come from anywhere: it is checked once, here.
    if let fault = settings.fault ?? layout?.fault.map({ "layout.\($0)" }) {
      throw DecodingError.dataCorrupted(
        .init(codingPath: [], debugDescription: "the field \(fault)")
      )
    }
  }

  /// Writes the settings beside the totals, in one object.
  public func encode(to encoder: any Encoder) throws {
    try settings.encode(to: encoder)
    try account.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(plan, forKey: .plan)
    try container.encode(samples, forKey: .samples)
    try container.encode(tokens, forKey: .tokens)
    try container.encode(rejected, forKey: .rejected)
    try container.encode(shards, forKey: .shards)
    try container.encode(columns, forKey: .columns)
    try container.encodeIfPresent(layout, forKey: .layout)
    if !files.isEmpty { try container.encode(files, forKey: .files) }
    try container.encode(String(repeating: "0", count: Self.digestLength), forKey: .digest)
  }

  private static let digestLength = 64
  private static let digestHead = Array("\n  \"manifest_sha256\" : \"".utf8)

  /// The bytes of the file.
  ///
  /// Their SHA-256, with zeros in its own place, is the last thing that is filled in.
  package func document() throws -> [UInt8] {
    var bytes = try CanonicalJSON.document(self)
    guard let digest = Self.digest(of: bytes) else {
      throw TesseraError.malformed("it has no place for its own digest", file: Self.fileName)
    }
    bytes.replaceSubrange(digest.place, with: Array(digest.computed.utf8))
    return bytes
  }

  /// Whether the bytes of a `dataset.json` are those that were written: none of them differs.
  package static func isIntact(_ bytes: [UInt8]) -> Bool {
    guard let digest = digest(of: bytes) else { return false }
    return bytes[digest.place].elementsEqual(digest.computed.utf8)
  }

  private static func digest(of bytes: [UInt8]) -> (place: Range<Int>, computed: String)? {
    guard let head = bytes.firstRange(of: digestHead),
      head.upperBound + digestLength <= bytes.count
    else { return nil }
    let place = head.upperBound..<head.upperBound + digestLength
    var zeroed = bytes
    zeroed.replaceSubrange(place, with: repeatElement(UInt8(ascii: "0"), count: digestLength))
    return (place, FileDigest.sha256(of: zeroed))
  }

  /// The names of what every sample has, as the layout stores them.
  public var columns: [String] {
    guard let layout else { return settings.columns }
    return layout.table.columns.map { layout.storedName(of: $0.name) }
  }
}

extension DatasetManifest {
  /// Whether the layout has small files, one or more a sample, which a list of its own names.
  public var hasLooseFiles: Bool {
    samples > 0 && [.npy, .llamagen, .fourM].contains(DatasetFormat(rawValue: settings.format))
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
}

extension DatasetFile {
  /// Reads a description; the path stays below the folder.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    name = try container.path(.name)
    bytes = try container.count(.bytes)
    sha256 = try container.decode(String.self, forKey: .sha256)
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
}

extension DatasetShard {
  /// Reads a description; the path stays below the folder.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    name = try container.path(.name)
    samples = try container.count(.samples)
    tokens = try container.count(.tokens)
    bytes = try container.count(.bytes)
    sha256 = try container.decode(String.self, forKey: .sha256)
  }

  /// The path of a shard by its number: five digits, more where there are more shards than that.
  public static func name(of index: Int) -> String {
    let digits = String(index)
    return "shards/" + String(repeating: "0", count: max(0, 5 - digits.count)) + digits + ".tar"
  }
}
