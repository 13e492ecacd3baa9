import Foundation
import Readers
import Tensors

/// peft's `adapter_config.json`, as far as it decides a merge.
///
/// Scale: alpha / rank, or alpha / sqrt(rank) under `use_rslora` (arXiv 2312.03732).
struct AdapterConfiguration: Decodable {
  let peftType: String?
  let rank: Int?
  let alpha: Double?
  let usesRankStabilization: Bool?
  let weightIsTransposed: Bool?
  let alphaPattern: [String: Double]?
  let usesEffectiveConvolution: Bool?

  private enum CodingKeys: String, CodingKey {
    case peftType = "peft_type"
    case rank = "r"
    case loraAlpha = "lora_alpha"
    case otherAlpha = "alpha"
    case usesRankStabilization = "use_rslora"
    case weightIsTransposed = "fan_in_fan_out"
    case alphaPattern = "alpha_pattern"
    case usesEffectiveConvolution = "use_effective_conv2d"
  }

  /// Reads the fields; LoRA says `lora_alpha`, LoHa and LoKr say `alpha`.
  init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    peftType = try fields.decodeIfPresent(String.self, forKey: .peftType)
    rank = try fields.decodeIfPresent(Int.self, forKey: .rank)
    alpha =
      try fields.decodeIfPresent(Double.self, forKey: .loraAlpha)
      ?? fields.decodeIfPresent(Double.self, forKey: .otherAlpha)
    usesRankStabilization = try fields.decodeIfPresent(Bool.self, forKey: .usesRankStabilization)
    weightIsTransposed = try fields.decodeIfPresent(Bool.self, forKey: .weightIsTransposed)
    alphaPattern = try fields.decodeIfPresent([String: Double].self, forKey: .alphaPattern)
    usesEffectiveConvolution =
      try fields.decodeIfPresent(Bool.self, forKey: .usesEffectiveConvolution)
  }

  /// The configuration beside an adapter's file; nil where there is none.
  static func beside(_ path: String) throws(AdapterError) -> AdapterConfiguration? {
    let folder = (path as NSString).deletingLastPathComponent
    let file = (folder.isEmpty ? "." : folder) + "/adapter_config.json"
    guard let bytes = try? FileDigest.bytes(of: file, maximumBytes: 1 << 20) else { return nil }
    do {
      return try JSONDecoder().decode(AdapterConfiguration.self, from: Data(bytes))
    } catch {
      throw AdapterError(
        path: file,
        cause: "no adapter configuration of peft's",
        kind: .malformedInput
      )
    }
  }

  /// The alpha of a module: that of the first pattern which its path ends in, or the general one.
  func alpha(of module: String) -> Double? {
    for (pattern, alpha) in (alphaPattern ?? [:]).sorted(by: { $0.key < $1.key }) {
      let anchored = "^(.*\\.)?(\(pattern))$"
      if module.range(of: anchored, options: .regularExpression) != nil { return alpha }
    }
    return alpha
  }

  /// What the change of a module is multiplied by.
  func scale(of module: String, rank: Int) -> Double? {
    alpha(of: module).map { alpha in
      alpha / (usesRankStabilization == true ? Double(rank).squareRoot() : Double(rank))
    }
  }
}
