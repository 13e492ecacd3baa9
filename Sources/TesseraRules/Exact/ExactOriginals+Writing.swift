import Foundation
public import TesseraCheckpoints
import TesseraCore

extension ExactOriginals {
  /// The tensors of the source that a plan rounds, each with the results made of it.
  ///
  /// - Parameters:
  ///   - plan: What is done.
  ///   - isExact: Whether a result can be undone without loss, its encoding included.
  /// - Returns: The names of results by the name of the source.
  public static func rounded(
    by plan: ConversionPlan,
    isExact: (ConversionPlan.Output) -> Bool
  ) -> [String: [String]] {
    let sources = Set(plan.outputs.filter { !isExact($0) }.flatMap(\.sources))
    var results: [String: [String]] = [:]
    for output in plan.outputs where output.tensor.aliasOf == nil {
      for source in output.sources where sources.contains(source) {
        results[source, default: []].append(output.tensor.name)
      }
    }
    return results
  }

  /// Writes the originals beside a result that has been written.
  ///
  /// - Parameters:
  ///   - rounded: What `rounded(by:isExact:)` found.
  ///   - source: What was converted.
  ///   - result: The result's file, or the index of its shards.
  ///   - toolVersion: The version of the program.
  ///   - isReplacingOthers: Whether a file that no conversion wrote is replaced.
  /// - Returns: The path of the file.
  /// - Throws: The readers' errors, `FileError`, `CheckpointWriterError`.
  public static func write(
    _ rounded: [String: [String]],
    of source: any CheckpointReader,
    beside result: String,
    toolVersion: String,
    isReplacingOthers: Bool = true
  ) async throws -> String {
    let written = try Checkpoint.open(result)
    let present = Dictionary(written.tensors.map { ($0.name, $0) }) { first, _ in first }
    var hashes: [String: String] = [:]
    for name in rounded.values.joined() where hashes[name] == nil {
      hashes[name] = try present[name].map { try written.sha256(of: $0) }
    }
    let results = rounded.mapValues { names in
      Dictionary(names.compactMap { name in hashes[name].map { (name, $0) } }) { first, _ in first }
    }
    var rules = ConversionRules(recipe: "exact-originals/1")
    for tensor in source.tensors {
      if results[tensor.name]?.isEmpty == false {
        rules.rules.append(ConversionRule(tensor, to: tensor.name))
      } else {
        rules.dropped.append(DroppedTensor(name: tensor.name, reason: "not rounded"))
      }
    }
    var plan = try ConversionPlan(rules, of: source)
    plan.dropped = []
    var conversion = CheckpointConversion(
      of: source,
      sourceFiles: source.files,
      plan: plan,
      toolVersion: toolVersion
    )
    conversion.isHashingSource = false
    conversion.isReplacingOthers = isReplacingOthers
    let text = try CanonicalJSON.line(results).dropLast()
    conversion.additionalMetadata[key] = String(decoding: text, as: UTF8.self)
    let path = path(beside: result)
    _ = try await conversion.write(to: path)
    return path
  }

  /// The entry in a result's metadata that names the file of its originals.
  public static func link(from result: String) -> [String: String] {
    [linkKey: (path(beside: result) as NSString).lastPathComponent]
  }
}
