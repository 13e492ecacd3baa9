import ArgumentParser
import Foundation
import TesseraCheckpoints
import TesseraCore
import TesseraRules

/// What comes out of `convert`: a format, a layout, or both where a name stands for both.
struct ConversionTarget: ExpressibleByArgument {
  let name: String

  init?(argument: String) { name = argument }

  /// The format that is named; nil for a layout.
  var format: CheckpointFormat? { CheckpointFormat(rawValue: name) }

  /// Whether Keras layers become PyTorch modules.
  var isTorch: Bool { name == "torch" }
  /// Whether PyTorch modules become Keras layers.
  var isKeras: Bool { name == "keras" }

  /// Refuses a name that is neither a format nor a layout.
  func validate() throws {
    guard format == nil, !isTorch, !isKeras else { return }
    let layouts = try RecipeCatalog().layouts
    let bare = name.split(separator: ".").last.map(String.init) ?? name
    guard layouts.contains(bare) else {
      let formats = CheckpointFormat.allCases.map(\.rawValue).joined(separator: ", ")
      throw ValidationError(
        "--to \(name): no format (\(formats)) and no layout (torch, keras, "
          + "\(layouts.sorted().joined(separator: ", ")))."
      )
    }
  }
}

/// The recipes that `convert` and `verify` apply.
struct RecipeOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A recipe by name (`tessera recipes list`) or file; several follow one another.",
      valueName: "name|file"
    )
  )
  var recipe: [String] = []

  @Flag(help: "Apply --recipe from right to left.")
  var inverse = false

  @Option(help: ArgumentHelp("A size that no shape and no setting states.", valueName: "size=N"))
  var set: [SizeSetting] = []

  func validate() throws {
    guard !inverse || !recipe.isEmpty else {
      throw ValidationError("--inverse: name the recipe with --recipe.")
    }
  }

  /// The sizes that are set.
  var sizes: [String: Int] { Dictionary(set.map { ($0.name, $0.value) }) { _, last in last } }

  /// The recipes that are named, in the order in which they apply.
  func named(_ catalog: RecipeCatalog) throws -> [Recipe] {
    let recipes = try recipe.map { try RecipeOptions.recipe($0, catalog) }
    return inverse ? try recipes.reversed().map { try $0.inverted() } : recipes
  }

  /// A recipe by name or file.
  static func recipe(_ name: String, _ catalog: RecipeCatalog) throws -> Recipe {
    guard name.hasSuffix(".json") || name.contains("/") else {
      return try catalog.recipe(named: name)
    }
    let bytes = try FileDigest.bytes(of: name, maximumBytes: ReadLimit.description)
    return try Recipe(parsing: TextFile.text(of: bytes, from: name), file: name)
  }
}

/// The Keras model that weights are for, where `--to keras` makes its layers.
struct KerasOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "For --to keras: the model's .keras or .weights.h5, whose layers and variables are filled.",
      valueName: "file"
    ),
    completion: .file()
  )
  var like: String?

  @Option(
    help: ArgumentHelp(
      "For --to keras: the module of a layer with another name, by paths with dots; may be repeated.",
      valueName: "layer=module"
    )
  )
  var module: [ModuleName] = []

  /// Refuses what does not go with the target.
  func check(_ target: ConversionTarget?) throws {
    guard target?.isKeras == true else {
      guard like == nil, module.isEmpty else {
        throw ValidationError("--like and --module belong to --to keras.")
      }
      return
    }
    guard like != nil else {
      throw ValidationError(
        "--to keras: no weights say which layers there are; name a file of the model with --like."
      )
    }
  }

  /// The modules by the paths of their layers.
  var modules: [String: String] {
    Dictionary(module.map { ($0.layer, $0.module) }) { _, last in last }
  }

  /// `dense=fc1` on the command line.
  struct ModuleName: ExpressibleByArgument {
    let layer: String
    let module: String

    init?(argument: String) {
      let parts = argument.split(separator: "=", omittingEmptySubsequences: false)
      guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else { return nil }
      layer = String(parts[0])
      module = String(parts[1])
    }
  }
}

/// `h=8` on the command line.
struct SizeSetting: ExpressibleByArgument {
  let name: String
  let value: Int

  init?(argument: String) {
    let parts = argument.split(separator: "=", maxSplits: 1)
    guard parts.count == 2, let value = Int(parts[1]), value >= 0 else { return nil }
    name = String(parts[0])
    self.value = value
  }
}

extension SourceCheckpoint {
  /// The text of the settings beside the file: `config.json`, or Mistral's `params.json`.
  var configuration: String? { SourceCheckpoint.configuration(beside: path) }

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
  /// - Throws: `CheckpointError` that names the file.
  static func checkConfiguration(in folder: String) throws {
    let file = "\(folder)/config.json"
    guard Checkpoint.isFolder(folder), FileManager.default.fileExists(atPath: file) else { return }
    let text = configuration(beside: folder)
    guard let text, (try? JSONValue(parsing: text))?.object != nil else {
      let cause = text.flatMap { FailedDownload.words(for: Array($0.utf8.prefix(256))) }
      throw CheckpointError(
        path: file,
        cause: cause
          ?? "no JSON object, so that nothing says what the tensors are; get it again, or name the file of the weights"
      )
    }
  }

  /// The recipes that the options and the target ask for; none for a plain change of format.
  func recipes(_ options: RecipeOptions, to target: ConversionTarget?) throws -> [Recipe] {
    let catalog = try RecipeCatalog()
    let named = try options.named(catalog)
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
        throw PlanError(tensor: "--to \(target.name)", cause: cause)
      }
      return named
    }
    return try named.reversed().map { try $0.inverted() }
  }
}

extension ConversionTarget {
  /// The layout's name without its family.
  fileprivate var layout: String { name.split(separator: ".").last.map(String.init) ?? name }
}
