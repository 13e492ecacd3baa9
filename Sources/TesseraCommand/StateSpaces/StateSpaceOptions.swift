public import ArgumentParser
import Foundation
import TesseraCore
public import TesseraStateSpaces

extension HippoMeasure: ExpressibleByArgument {}
extension HippoForm: ExpressibleByArgument {}
extension LegsConvention: ExpressibleByArgument {}
extension S4Checkpoint.Transform: ExpressibleByArgument {}
extension StateSpaceFile.Structure: ExpressibleByArgument {}

extension DiscretizationMethod: ExpressibleByArgument {
  /// Reads the name of a method.
  public init?(argument: String) { self.init(name: argument) }

  /// The names for the help.
  public static var allValueStrings: [String] {
    ["forward", "backward", "bilinear", "gbt:A", "zoh"]
  }
}

/// The precision of an output.
enum FloatType: String, ExpressibleByArgument, CaseIterable {
  case float64, float32

  /// The element type of this name.
  var elementType: ElementType { self == .float64 ? .float64 : .float32 }
}

/// Where a state-space file goes.
struct StateSpaceOutput: ParsableArguments {
  @Option(
    name: .shortAndLong,
    help: "Where to write (.safetensors, .npz, .h5); optional with --json.",
    completion: .file()
  )
  var output: String?

  @Option(help: "The precision of the arrays.")
  var dtype = FloatType.float64

  @OptionGroup var reporting: OutputOptions

  func validate() throws {
    guard output != nil || reporting.json else {
      throw ValidationError("Name an output with -o, or print the arrays with --json.")
    }
  }

  /// Writes the file and reports it.
  func finish(_ file: StateSpaceFile, verb: String, reading inputs: [String] = []) throws {
    if let output {
      try TesseraError.naming(output) {
        try file.write(to: output, as: dtype.elementType, reading: inputs)
      }
    }
    let arrays = file.arrays.sorted { $0.key < $1.key }
    let list = arrays.map { "\($0.key) \($0.value.storedShape)" }.joined(separator: ", ")
    reporting.note("ssm \(verb): \(list)")
    reporting.note(unused: file.unused, verb: verb)
    if reporting.json { try StateSpacePrinting.write(file) }
  }
}

/// What a file without metadata holds.
struct StructureOption: ParsableArguments {
  @Option(
    help: """
      What a file without tessera's metadata holds: dense (A, B of x' = A x + B u), diagonal (Lambda, \
      B, C; one of each conjugate pair, 2 Re) or dplr (the same minus P P*).
      """
  )
  var system: StateSpaceFile.Structure?

  @Option(
    help: """
      The file is a checkpoint of state-spaces/s4, version 4: the prefix of the layer to take, such as \
      layers.0.layer.kernel.
      """
  )
  var s4: String?

  @OptionGroup var transforms: S4Options

  /// Reads a file and finds its structure.
  func read(_ path: String) throws -> (file: StateSpaceFile, structure: StateSpaceFile.Structure) {
    if let s4 {
      return try TesseraError.naming(path) {
        let file = try transforms.open(path).file(layer: s4)
        return (file, try file.structure(named: system))
      }
    }
    return try TesseraError.naming(path) {
      let file = try StateSpaceFile(path: path, structure: system)
      let structure = try file.structure(named: system)
      try file.check(parts: structure)
      return (file, structure)
    }
  }
}

/// What S4's configuration says of its checkpoint.
struct S4Options: ParsableArguments {
  @Option(help: "With --s4: what makes dt of inv_dt.")
  var dtTransform = S4Checkpoint.Transform.exp

  @Option(help: "With --s4: what makes -Re A of A_real.")
  var realTransform = S4Checkpoint.Transform.exp

  @Option(help: "With --s4: what makes -Im A of A_imag.")
  var imagTransform = S4Checkpoint.Transform.none

  /// Opens a checkpoint under these.
  func open(_ path: String) throws -> S4Checkpoint {
    try S4Checkpoint(
      path: path,
      transforms: S4Checkpoint.Transforms(
        step: dtTransform,
        real: realTransform,
        imaginary: imagTransform
      )
    )
  }
}

/// State-space files as JSON: nested lists and the metadata.
enum StateSpacePrinting {
  /// The most numbers that are printed.
  private static let numberLimit = 1 << 18

  /// Prints `{"A": [[…]], …, "metadata": {…}}` to standard output.
  static func write(_ file: StateSpaceFile) throws {
    let count = file.arrays.values.reduce(0) { $0 + $1.values.count }
    guard count <= numberLimit else {
      throw ValidationError("\(count) numbers are too many for --json (\(numberLimit)): use -o.")
    }
    var members = file.arrays.map { name, array in
      (name, list(array.values[...], array.storedShape[...]))
    }
    let strings = file.storedMetadata.filter { $0.key.hasPrefix("tessera.ssm.") }
      .sorted { $0.key < $1.key }
      .map { "\(quoted(String($0.key.dropFirst("tessera.ssm.".count)))): \(quoted($0.value))" }
    members.append(("metadata", "{\(strings.joined(separator: ", "))}"))
    let lines = members.sorted { $0.0 < $1.0 }.map { "  \(quoted($0.0)): \($0.1)" }
    let text = "{\n\(lines.joined(separator: ",\n"))\n}\n"
    try StandardOutput.write(text)
  }

  /// Values as nested lists.
  private static func list(_ values: ArraySlice<Double>, _ shape: ArraySlice<Int>) -> String {
    guard let extent = shape.first else { return values.first.map { "\($0)" } ?? "null" }
    guard extent > 0 else { return "[]" }
    let size = values.count / extent
    let items = (0..<extent).map { index in
      let start = values.startIndex + index * size
      return list(values[start..<start + size], shape.dropFirst())
    }
    return "[\(items.joined(separator: ", "))]"
  }

  private static func quoted(_ text: String) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .withoutEscapingSlashes
    guard let bytes = try? encoder.encode(text) else { return "null" }
    return String(decoding: bytes, as: UTF8.self)
  }
}

extension OutputOptions {
  /// Names the arrays and tensors on which a result does not depend.
  func note(unused: [String], verb: String) {
    guard !unused.isEmpty else { return }
    note("ssm \(verb): not used: \(unused.joined(separator: ", "))")
  }
}
