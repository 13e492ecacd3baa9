public import ArgumentParser
public import TesseraRules

extension ConversionTarget: ExpressibleByArgument {
  /// Reads an argument, whose name is checked later.
  public init?(argument: String) { self.init(argument) }

  /// Refuses a name that is neither a format nor a layout.
  func validate() throws { if let fault = try fault { throw ValidationError(fault) } }
}

/// The recipes that `convert` and `verify` apply.
struct RecipeOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A recipe by name (`tessera recipes list`) or file; several are applied in order.",
      valueName: "name|file"
    )
  )
  var recipe: [String] = []

  @Flag(help: "Apply --recipe from right to left.")
  var inverse = false

  @Option(
    help: ArgumentHelp("A size that neither a shape nor a setting states.", valueName: "size=N")
  )
  var set: [SizeSetting] = []

  func validate() throws {
    guard !inverse || !recipe.isEmpty else {
      throw ValidationError("--inverse: name the recipe with --recipe.")
    }
  }

  /// The sizes that are set.
  var sizes: [String: Int] { Dictionary(set.map { ($0.name, $0.value) }) { _, last in last } }
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
        "--to keras: weights do not state the layers; name a file of the model with --like."
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

extension ConversionRequest {
  /// What the options of `convert` and `verify` ask for alike.
  init(to target: ConversionTarget?, _ recipes: RecipeOptions, _ keras: KerasOptions) {
    self.init(to: target)
    self.recipes = recipes.recipe
    isInverse = recipes.inverse
    sizes = recipes.sizes
    kerasModel = keras.like
    kerasModules = keras.modules
  }
}
