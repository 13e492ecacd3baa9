import TesseraCheckpoints
public import TesseraCore

/// What a conversion is to do; in one in which nothing is chosen, tensors keep names, layout and type.
public struct ConversionRequest: Sendable {
  /// The format or layout; nil for the format of the output's ending.
  public var target: ConversionTarget?
  /// The recipes, by name or file, in the order in which they apply.
  public var recipes: [String] = []
  /// Whether they apply from right to left, the last one first.
  public var isInverse = false
  /// Sizes that no shape and no setting states.
  public var sizes: [String: Int] = [:]
  /// For ``ConversionTarget/isKeras``: the model's file, whose layers and variables are filled.
  public var kerasModel: String?
  /// For ``ConversionTarget/isKeras``: modules of layers with another name, by the layer's path.
  public var kerasModules: [String: String] = [:]
  /// Which tensors are taken.
  public var selection = TensorSelection()
  /// What untyped HDF5 elements are; nil refuses them.
  public var opaqueType: ElementType?
  /// The type of floating-point results; nil leaves them as they are.
  public var precision: WeightPrecision?
  /// Patterns of the names of results that stay float32 whatever ``precision`` says.
  public var keptFloat32: [String] = []
  /// What becomes of tensors that share their storage; nil keeps that where the format can, else copies.
  public var ties: TiedTensors?
  /// The most data of a file of safetensors; nil makes one file.
  public var shardByteLimit: Int?
  /// Whether the result states the SHA-256 of its source, which is then read as a whole.
  public var isHashingSource = true
  /// Whether what is rounded is kept as it was beside the output.
  public var keepsExact = false
  /// Whether a file is replaced that no conversion wrote.
  public var isReplacingOthers = false

  /// Creates a request in which nothing but the target is chosen.
  public init(to target: ConversionTarget? = nil) { self.target = target }

  /// The recipes that are named, in the order in which they apply.
  func named(_ catalog: RecipeCatalog) throws -> [Recipe] {
    let recipes = try recipes.map { try catalog.recipe(at: $0) }
    return isInverse ? try recipes.reversed().map { try $0.inverted() } : recipes
  }

  /// The format that is named by the target or by the output's ending; nil where neither does.
  func namedFormat(of output: String?) -> CheckpointFormat? {
    if target?.isKeras == true, output.map(ConversionRequest.isFolder) ?? true {
      return .kerasWeights
    }
    return target?.format ?? output.flatMap { CheckpointFormat(path: $0) }
  }

  /// The format that is written.
  func format(of output: String?) -> CheckpointFormat { namedFormat(of: output) ?? .safetensors }

  /// Whether an output is a folder, there or to be made.
  static func isFolder(_ output: String) -> Bool {
    output.hasSuffix("/") || Checkpoint.isFolder(output)
  }

  /// What does not go together in a request; nil where all does.
  ///
  /// - Parameter output: The file or folder that is written; nil where nothing is.
  /// - Returns: One line, or nil.
  /// - Throws: `TesseraError` where the recipes cannot be read.
  public func fault(writing output: String?) throws -> String? {
    if let fault = try target?.fault { return fault }
    guard let output else { return nil }
    let format = format(of: output)
    if target?.isKeras == true, format != .kerasWeights {
      return "--to keras: name an output that ends in .weights.h5."
    }
    if !ConversionRequest.isFolder(output), namedFormat(of: output) == nil {
      let endings = CheckpointFormat.endings.joined(separator: " ")
      return "'\(output)': name a file that ends in \(endings), or a folder, or --to."
    }
    if shardByteLimit != nil, format != .safetensors {
      return "--shard-size: only safetensors has shards."
    }
    if ties == .keep, !format.holdsAliases {
      return "--tied keep: \(format.rawValue) has no aliases; copy or drop."
    }
    if precision == .q8_0, format != .gguf { return "--dtype q8_0: only gguf has such blocks." }
    return nil
  }
}
