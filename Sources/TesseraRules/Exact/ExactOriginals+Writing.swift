import Foundation
import TesseraCheckpoints
import TesseraCore

extension ExactOriginals {
  /// The tensors of the source that a plan rounds, each with the results made of it.
  ///
  /// - Parameters:
  ///   - plan: What is done.
  ///   - isExact: Whether a result can be undone without loss, its encoding included.
  /// - Returns: The names of results by the name of the source.
  package static func rounded(
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

  /// The entry in a result's metadata that names the file of its originals.
  package static func link(from result: String) -> [String: String] {
    [linkKey: (path(beside: result) as NSString).lastPathComponent]
  }
}

/// The file of what a conversion rounds, with all its data; its header waits for the hashes of the results.
struct OriginalsFile {
  private let conversion: CheckpointConversion
  /// What the source says beside its tensors.
  private let strings: [String: String]
  private let rounded: [String: [String]]
  private let file: OpenShard

  /// Copies the originals.
  ///
  /// - Parameters:
  ///   - rounded: What `ExactOriginals.rounded(by:isExact:)` found.
  ///   - source: What is converted.
  ///   - path: Where the file will be.
  ///   - toolVersion: The version of the program.
  /// - Throws: The readers' errors, `TesseraError`.
  init(
    _ rounded: [String: [String]],
    of source: any CheckpointReader,
    at path: String,
    toolVersion: String
  ) throws {
    var rules = ConversionRules(recipe: "exact-originals/1")
    for tensor in source.tensors {
      if rounded[tensor.name] != nil {
        rules.rules.append(ConversionRule(tensor, to: tensor.name))
      } else {
        rules.drop(tensor.name, because: "not rounded")
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
    conversion.additionalMetadata = try Self.results(of: rounded, hashes: [:])
    let filling = CheckpointFilling(conversion, .safetensors, [])
    let tensors = conversion.tensors(in: .safetensors)
    file = OpenShard(try filling.file(of: tensors, at: path) { _ in })
    self.conversion = conversion
    strings = filling.kept.strings
    self.rounded = rounded
  }

  /// Completes the file, once.
  ///
  /// - Parameter hashes: The SHA-256 of each result.
  /// - Returns: The file, for a set that appears together.
  /// - Throws: `TesseraError`.
  func finished(hashes: [String: String]) throws -> AtomicFile {
    var conversion = conversion
    conversion.additionalMetadata = try Self.results(of: rounded, hashes: hashes)
    return try file.finished(metadata: conversion.metadata(strings, sourceHash: ""))
  }

  /// The entry that names the results; text of the same length stands for hashes that are not known yet.
  private static func results(
    of rounded: [String: [String]],
    hashes: [String: String]
  ) throws -> [String: String] {
    let results = rounded.mapValues { names in
      Dictionary(names.map { ($0, hashes[$0] ?? SourceHash.placeholder) }) { first, _ in first }
    }
    let text = try CanonicalJSON.line(results).dropLast()
    return [ExactOriginals.key: String(decoding: text, as: UTF8.self)]
  }
}
