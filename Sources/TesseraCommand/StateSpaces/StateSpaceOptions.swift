import ArgumentParser
import Foundation
import TesseraCore
import TesseraStateSpaces

extension FloatType: ExpressibleByArgument {}
extension HippoMeasure: ExpressibleByArgument {}
extension HippoForm: ExpressibleByArgument {}
extension LegsConvention: ExpressibleByArgument {}
extension S4Checkpoint.Transform: ExpressibleByArgument {}
extension StateSpaceFile.Structure: ExpressibleByArgument {}

extension DiscretizationMethod: ExpressibleByArgument {
  /// Reads the name of a method.
  init?(argument: String) { self.init(name: argument) }

  /// The names for the help.
  static var allValueStrings: [String] {
    ["forward", "backward", "bilinear", "gbt:A", "zoh"]
  }
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
    try reporting.print(file)
  }
}

/// What a file without metadata holds.
struct StructureOption: ParsableArguments {
  @Option(
    help: """
      What a file without tessera's metadata contains: dense (A, B of x' = A x + B u), diagonal (Lambda, \
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

extension OutputOptions {
  /// The most numbers of a state-space file that are printed.
  private static let numberLimit = 1 << 18

  /// Prints the arrays and metadata of a file, where they were asked for.
  func print(_ file: StateSpaceFile) throws {
    guard json else { return }
    let count = file.arrays.values.reduce(0) { $0 + $1.values.count }
    guard count <= Self.numberLimit else {
      throw ValidationError(
        "\(count) numbers are too many for --json (\(Self.numberLimit)): use -o."
      )
    }
    try StandardOutput.write(file.json)
  }

  /// Names the arrays and tensors on which a result does not depend.
  func note(unused: [String], verb: String) {
    guard !unused.isEmpty else { return }
    note("ssm \(verb): not used: \(unused.joined(separator: ", "))")
  }
}
