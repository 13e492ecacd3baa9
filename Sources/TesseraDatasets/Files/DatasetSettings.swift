package import TesseraCore
import TesseraImages

/// Everything beside the images on which the bytes of a dataset depend.
///
/// Two runs with equal settings over equal images write equal bytes, whatever the machine, the
/// number of workers or the number of restarts.
public struct DatasetSettings: Codable, Hashable, Sendable {
  /// The layout of the shards: `webdataset`.
  public var format: String
  /// The tokenizer that made the codes.
  public let tokenizer: TokenizerIdentity
  /// What was added to every code.
  public var vocabularyOffset: Int
  /// The scheme of the position ids, such as `tie`, or `none`.
  public let positions: String
  /// Where captions came from, `sidecar` or `manifest`; nil where they were not asked for.
  public let captions: String?
  /// Whether the continuous latents stand beside the codes.
  public let latents: Bool
  /// What probabilities stand beside the codes; nil for none.
  public let soft: SoftCodeSettings?
  /// How codes were drawn; nil where each is the best one.
  public let sampling: SamplingSettings?
  /// What was done to each image before the network saw it.
  package let preprocessing: JSONValue
  /// The views of each image, such as `flip`: codes are then [views, tokens]; nil for one.
  public let augment: String?
  /// The most pixels of an image; larger ones are rejected.
  public let pixelLimit: Int
  /// How many consecutive inputs make a shard.
  public let shardSamples: Int
  /// What was chosen about the layout; nil for Tessera's own.
  public var export: DatasetExportSettings?
  /// The version of Tessera that made the plan.
  public let toolVersion: String

  enum CodingKeys: String, CodingKey {
    case format, tokenizer, positions, captions, latents, soft, sampling, preprocessing, augment
    case export
    case pixelLimit = "pixel_limit"
    case vocabularyOffset = "vocabulary_offset"
    case shardSamples = "shard_samples"
    case toolVersion = "tool_version"
  }

  /// Creates settings.
  ///
  /// - Throws: Where `preprocessing` has no JSON form.
  public init(
    format: String = "webdataset",
    tokenizer: TokenizerIdentity,
    vocabularyOffset: Int,
    positions: String,
    captions: String? = nil,
    latents: Bool,
    soft: SoftCodeSettings? = nil,
    sampling: SamplingSettings? = nil,
    preprocessing: some Encodable,
    augment: String? = nil,
    pixelLimit: Int,
    shardSamples: Int,
    export: DatasetExportSettings? = nil,
    toolVersion: String
  ) throws {
    (self.format, self.export, self.tokenizer) = (format, export, tokenizer)
    (self.vocabularyOffset, self.positions, self.captions) = (vocabularyOffset, positions, captions)
    (self.latents, self.soft, self.sampling) = (latents, soft, sampling)
    self.preprocessing = try JSONValue(encoding: preprocessing)
    (self.augment, self.pixelLimit, self.shardSamples) = (augment, pixelLimit, shardSamples)
    self.toolVersion = toolVersion
  }

  /// What is wrong with the settings, which may be read from a file of anybody's.
  package var fault: String? {
    if shardSamples < 1 { return "shard_samples: \(shardSamples) is out of range, from 1" }
    if pixelLimit < 1 { return "pixel_limit: \(pixelLimit) is out of range, from 1" }
    if !(1...1 << 32).contains(tokenizer.vocabularySize) {
      return "tokenizer.vocabulary_size: \(tokenizer.vocabularySize) is out of range, 1 to 2^32"
    }
    if !(0...1 << 52).contains(vocabularyOffset) {
      return "vocabulary_offset: \(vocabularyOffset) is out of range, 0 to 2^52"
    }
    if let augment, Augmentation(augment) == nil { return "augment: '\(augment)' is none" }
    return nil
  }

  /// The preprocessing as the type that applies it.
  ///
  /// - Throws: `TesseraError` that names the field at fault.
  public func preprocessing<Value: Decodable>(as type: Value.Type) throws -> Value {
    let line = try CanonicalJSON.line(preprocessing)
    let place = "\(DatasetManifest.fileName): preprocessing"
    return try ManifestFile.decode(type, from: line, of: place)
  }

  /// The extensions of the members of every sample, in the order in which they stand in a shard.
  public var columns: [String] {
    var columns = ["codes.npy", "json"]
    if latents { columns.append("latents.npy") }
    if positions != "none" { columns.append("positions.npy") }
    if soft != nil { columns += ["soft_indices.npy", "soft_indptr.npy", "soft_values.npy"] }
    if captions != nil { columns.append("txt") }
    return columns
  }
}

/// What makes the probabilities that stand beside codes.
public struct SoftCodeSettings: Codable, Hashable, Sendable {
  /// The map, such as `entmax:1.5`.
  public let map: String
  /// What -|z - e|² is divided by.
  public let temperature: Double

  /// Creates settings.
  public init(map: String, temperature: Double) {
    (self.map, self.temperature) = (map, temperature)
  }
}

/// How codes are drawn.
public struct SamplingSettings: Codable, Hashable, Sendable {
  /// The rule: `gumbel`.
  public let rule: String
  /// The key of the random numbers.
  public let seed: UInt64
  /// What -|z - e|² is divided by.
  public let temperature: Double

  /// Draws by the largest score with Gumbel noise.
  public init(gumbel seed: UInt64, temperature: Double) {
    rule = "gumbel"
    (self.seed, self.temperature) = (seed, temperature)
  }
}

/// Which tokenizer made the codes of a dataset.
public struct TokenizerIdentity: Codable, Hashable, Sendable {
  /// Its name, such as `tessera-f8`.
  public let name: String
  /// The family of its network, such as `cosmos`.
  public let family: String
  /// The SHA-256 of its weights and rules, 64 hexadecimal digits.
  public let sha256: String
  /// The number of distinct codes; codes are 0 ..< vocabularySize before the offset.
  public let vocabularySize: Int
  /// The quantizer as `quantize --quantizer` reads it.
  package let quantizer: JSONValue

  enum CodingKeys: String, CodingKey {
    case name, family, sha256, quantizer
    case vocabularySize = "vocabulary_size"
  }

  /// Creates an identity.
  ///
  /// - Throws: Where `quantizer` has no JSON form.
  public init(
    name: String,
    family: String,
    sha256: String,
    vocabularySize: Int,
    quantizer: some Encodable
  ) throws {
    (self.name, self.family, self.sha256) = (name, family, sha256)
    self.vocabularySize = vocabularySize
    self.quantizer = try JSONValue(encoding: quantizer)
  }
}
