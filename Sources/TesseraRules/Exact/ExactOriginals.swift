import Foundation
package import TesseraCheckpoints
import TesseraCore

/// What a conversion rounded, as it was: a file beside the result that the way back reads.
///
/// The file is safetensors, so that no reader of the result meets tensors it does not know. For each
/// original its metadata name the results made of it with their SHA-256: an original stands for them
/// only as long as they are what the conversion wrote. `schemas/exact.schema.json` states the JSON.
package struct ExactOriginals: Sendable {
  /// The metadata's key for what the originals became.
  static let key = "tessera.exact.results"
  /// The key in the result's metadata for the name of this file.
  static let linkKey = "tessera.exact"
  /// The beginning of an original's name beside the tensors of the result.
  private static let prefix = "tessera.exact/"
  /// What the file's name has more than the result's.
  private static let ending = Checkpoint.originalsEnding

  private let checkpoint: SafetensorsCheckpoint
  private let tensors: [String: TensorInfo]
  /// For each original, its results and their SHA-256.
  private let results: [String: [String: String]]

  /// The file that belongs to a result.
  ///
  /// - Parameter result: The result's file, or the index of its shards.
  /// - Returns: The path of the originals, whether they are there or not.
  package static func path(beside result: String) -> String {
    let isIndex = result.hasSuffix(".index.json")
    return (isIndex ? String(result.dropLast(".index.json".count)) : result) + ending
  }

  /// Opens the originals beside a result.
  ///
  /// - Parameter result: The result's file, or the index of its shards.
  /// - Returns: Nil where there are none.
  /// - Throws: The reader's errors; `TesseraError` where the file is no such file.
  package static func beside(_ result: String) throws -> ExactOriginals? {
    let path = path(beside: result)
    guard !result.hasSuffix(ending), FileManager.default.fileExists(atPath: path) else {
      return nil
    }
    return try ExactOriginals(path: path)
  }

  private init(path: String) throws {
    checkpoint = try SafetensorsCheckpoint(path: path)
    tensors = Dictionary(checkpoint.tensors.map { ($0.name, $0) }) { first, _ in first }
    guard let text = checkpoint.attributes[Self.key],
      let results = try? JSONDecoder().decode(
        [String: [String: String]].self,
        from: Data(text.utf8)
      ),
      Set(results.keys) == Set(tensors.keys), !results.values.contains(where: \.isEmpty)
    else {
      let cause =
        "its metadata do not say what the tensors became; written by 'convert --keep-exact'"
      throw TesseraError.malformed(cause, file: path)
    }
    self.results = results
  }

  /// A plan in which originals take the place of what would only be near them.
  ///
  /// They do where names change, because the names are the originals' again, and where only a type
  /// changes, because that is the original's again.
  ///
  /// - Parameter plan: What is done to the result.
  /// - Returns: The plan; its source is then `joined(to:)`.
  package func restoring(_ plan: ConversionPlan) -> ConversionPlan {
    var plan = plan
    plan.outputs = plan.outputs.map { output in
      let name = output.tensor.name
      guard let original = tensors[name], let made = results[name], output.tensor.aliasOf == nil,
        !output.sources.isEmpty, output.sources.allSatisfy({ made[$0] != nil })
      else { return output }
      let isBack =
        !output.operations.isEmpty && output.tensor.elementType == original.elementType
      guard plan.isChange || isBack else { return output }
      let stored = TensorInfo(
        name: Self.prefix + name,
        elementType: original.elementType,
        shape: original.shape
      )
      return ConversionPlan.Output(stored: stored, as: name)
    }
    return plan
  }

  /// Whether a plan reads originals.
  package static func areUsed(by plan: ConversionPlan) -> Bool {
    plan.outputs.contains { $0.sources.contains { $0.hasPrefix(prefix) } }
  }

  /// The result with its originals, for a plan that reads them.
  package func joined(to result: any CheckpointReader) -> any CheckpointReader {
    let present = Dictionary(result.tensors.map { ($0.name, $0) }) { first, _ in first }
    let additions = tensors.values.map { tensor in
      let made = results[tensor.name, default: [:]]
      return JoinedCheckpoint.Addition(
        name: Self.prefix + tensor.name,
        tensor: tensor,
        checkpoint: checkpoint,
        check: { try check(made, of: tensor.name, in: result, present) }
      )
    }
    return JoinedCheckpoint(
      result,
      with: additions.sorted { $0.name < $1.name },
      isListing: false
    )
  }

  /// Makes sure that the results of an original are what the conversion wrote.
  private func check(
    _ made: [String: String],
    of original: String,
    in result: any CheckpointReader,
    _ present: [String: TensorInfo]
  ) throws {
    for (name, hash) in made {
      let tensor = present[name]
      if let tensor, try result.sha256(of: tensor) == hash { continue }
      let what = tensor == nil ? "is gone" : "has changed"
      let cause =
        "'\(name)' \(what) since this file kept '\(original)' as it was: "
        + "move this file away to convert what is there now"
      throw TesseraError.mismatch(cause, file: checkpoint.files.first ?? "")
    }
  }
}
