import Foundation
import Readers
import Tensors

/// peft's `adapter_config.json`, as far as it decides a merge.
///
/// Scale: alpha / rank, or alpha / sqrt(rank) under `use_rslora` (arXiv 2312.03732).
struct AdapterConfiguration: Decodable {
  let rank: Int?
  let alpha: Double?
  let usesRankStabilization: Bool?
  let weightIsTransposed: Bool?
  let alphaPattern: [String: Double]?

  private enum CodingKeys: String, CodingKey {
    case rank = "r"
    case loraAlpha = "lora_alpha"
    case otherAlpha = "alpha"
    case usesRankStabilization = "use_rslora"
    case weightIsTransposed = "fan_in_fan_out"
    case alphaPattern = "alpha_pattern"
  }

  /// Reads the fields; LoRA says `lora_alpha`, LoHa and LoKr say `alpha`.
  init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    rank = try fields.decodeIfPresent(Int.self, forKey: .rank)
    alpha =
      try fields.decodeIfPresent(Double.self, forKey: .loraAlpha)
      ?? fields.decodeIfPresent(Double.self, forKey: .otherAlpha)
    usesRankStabilization = try fields.decodeIfPresent(Bool.self, forKey: .usesRankStabilization)
    weightIsTransposed = try fields.decodeIfPresent(Bool.self, forKey: .weightIsTransposed)
    alphaPattern = try fields.decodeIfPresent([String: Double].self, forKey: .alphaPattern)
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

  /// The alphas of a module: those of the patterns which its path ends in, or the general one.
  private func alphas(of module: String) -> Set<Double> {
    let patterns = (alphaPattern ?? [:]).filter { pattern, _ in
      module.range(of: "^(.*\\.)?(\(pattern))$", options: .regularExpression) != nil
    }
    return Set(patterns.isEmpty ? [alpha].compactMap { $0 } : Array(patterns.values))
  }

  /// What the change of a module is multiplied by: one number, none where nothing says alpha, several
  /// where patterns contradict each other (peft takes the first in the file's order, which JSON does
  /// not keep).
  func scales(of module: String, rank: Int) -> Set<Double> {
    let divisor = usesRankStabilization == true ? Double(rank).squareRoot() : Double(rank)
    return Set(alphas(of: module).map { $0 / divisor })
  }
}
