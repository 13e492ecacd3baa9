import Foundation
import TesseraCheckpoints
import TesseraCore

extension SourceCheckpoint {
  /// The text of the settings beside the file: `config.json`, or Mistral's `params.json`.
  package var configuration: String? { SourceCheckpoint.configuration(beside: path) }

  /// The text of the settings in a folder, or beside a file.
  static func configuration(beside path: String) -> String? {
    let folder =
      Checkpoint.isFolder(path) ? path : (path as NSString).deletingLastPathComponent
    for name in ["config.json", "params.json"] {
      let file = folder.isEmpty ? name : "\(folder)/\(name)"
      let attributes = try? FileManager.default.attributesOfItem(atPath: file)
      guard let size = attributes?[.size] as? Int, size < 16 << 20 else { continue }
      if let text = try? String(contentsOf: URL(filePath: file), encoding: .utf8) { return text }
    }
    return nil
  }

  /// What the settings beside the file call the model, such as `qwen2`.
  var modelType: String? {
    guard let text = configuration else { return nil }
    return (try? JSONValue(parsing: text))?["model_type"]?.string
  }

  /// Refuses a model's folder whose settings cannot be read: they say what the tensors are.
  ///
  /// - Throws: `TesseraError` that names the file.
  static func checkConfiguration(in folder: String) throws {
    let file = "\(folder)/config.json"
    guard Checkpoint.isFolder(folder), FileManager.default.fileExists(atPath: file) else { return }
    let text = configuration(beside: folder)
    guard let text, (try? JSONValue(parsing: text))?.object != nil else {
      let cause = text.flatMap { FailedDownload.words(for: Array($0.utf8.prefix(256))) }
      throw TesseraError.malformed(
        cause
          ?? "no JSON object, so that nothing says what the tensors are; get it again, or name the file of the weights",
        file: file
      )
    }
  }

  /// The recipes that a request asks for, by name or by its target; none for a plain change of format.
  ///
  /// - Throws: `TesseraError`.
  package func recipes(_ request: ConversionRequest) throws -> [Recipe] {
    let target = request.target
    // Layers of Keras have rules of their own, and another format alone needs none.
    let isLayout = target.map { !$0.isTorch && !$0.isKeras } ?? false
    guard isLayout || !request.recipes.isEmpty else { return [] }
    let catalog = try RecipeCatalog()
    let named = try request.named(catalog)
    let input = RecipeInput(checkpoint, configuration: configuration)
    guard let target, !target.isTorch, !target.isKeras, catalog.layouts.contains(target.layout)
    else { return named }
    guard !named.isEmpty else {
      guard target.format != nil else { return try catalog.way(to: target.name, from: input) }
      // A format that is also a layout: names change where a recipe knows how.
      return try catalog.wayIfKnown(to: target.name, from: input)
    }
    guard let first = named.first, let last = named.last, target.layout != last.right.name else {
      return named
    }
    guard target.layout == first.left.name else {
      guard target.format != nil else {
        let cause = "the recipe leads from '\(first.left.name)' to '\(last.right.name)'"
        throw TesseraError.mismatch(cause, place: "--to \(target.name)")
      }
      return named
    }
    return try named.reversed().map { try $0.inverted() }
  }
}
