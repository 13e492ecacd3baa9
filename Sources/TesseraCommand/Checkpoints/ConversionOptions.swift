import ArgumentParser
import TesseraCheckpoints
import TesseraCore
import TesseraRules

/// Which tensors a conversion takes, and under which names.
struct SelectionOptions: ParsableArguments {
  @Option(
    help: """
      The set of weights: 'model', 'ema', or a key; its prefix is taken off the names. 'ema' takes the \
      average of a generator before another average, before a student's or generator's own weights \
      (`tessera inspect` lists them with their scores), and in a folder the file or folder whose name says \
      so; two of equal score are an error. Optimizers, teachers, fake scores, discriminators and frozen \
      copies are left out.
      """
  )
  var pick: String?

  @Option(
    help: """
      A prefix to take off the names, or a pattern with '*' of names to leave out; may be repeated.
      """
  )
  var strip: [String] = []

  var selection: TensorSelection {
    TensorSelection(choice: pick.map(TensorSelection.Choice.init), stripped: strip)
  }

  func validate() throws {
    guard pick?.isEmpty != true, !strip.contains("") else {
      throw ValidationError("--pick and --strip name something.")
    }
  }
}

/// What becomes of tensors that share their storage.
struct TieOptions: ParsableArguments {
  @Option(
    help: """
      Tensors that share their storage: 'keep' in one place (pt, h5), 'copy', or 'drop' the second \
      name. (default: keep where the format can, else copy)
      """
  )
  var tied: TiedTensors?
}

/// The element type of the floating-point results.
struct PrecisionOptions: ParsableArguments {
  /// A type that users name.
  enum Precision: String, ExpressibleByArgument, CaseIterable {
    case f64, f32, f16, bf16
    case q8_0

    /// The element type; nil for blocks.
    var elementType: ElementType? {
      switch self {
      case .f64: .float64
      case .f32: .float32
      case .f16: .float16
      case .bf16: .bfloat16
      case .q8_0: nil
      }
    }

    /// What PyTorch calls the type.
    var torchName: String {
      switch self {
      case .f64: "float64"
      case .f32, .q8_0: "float32"
      case .f16: "float16"
      case .bf16: "bfloat16"
      }
    }
  }

  @Option(
    help: """
      The type of floating-point tensors: f64, f32, f16, bf16, rounded to nearest even; a number \
      without a finite value there ends the conversion. q8_0 for .gguf: blocks of 32 in matrices.
      """
  )
  var dtype: Precision?

  @Option(
    name: .customLong("keep-f32"),
    help: "A pattern of names that stay float32 whatever --dtype says; may be repeated."
  )
  var keepFloat32: [String] = []

  func validate() throws {
    guard keepFloat32.isEmpty || dtype != nil else {
      throw ValidationError("--keep-f32: names exceptions to --dtype, which is missing.")
    }
  }

  /// The plan with its results in these types, and the names of those that become blocks.
  func applied(to plan: ConversionPlan) throws -> (plan: ConversionPlan, quantized: Set<String>) {
    guard let dtype else { return (plan, []) }
    let patterns = keepFloat32.map { NameGlob($0) }
    for pattern in patterns where !plan.outputs.contains(where: { pattern.matches($0.tensor.name) })
    {
      let cause = "--keep-f32 '\(pattern.text)' fits no name of the result"
      throw SelectionError(cause: cause, candidates: plan.outputs.map(\.tensor.name))
    }
    let kept = Set(
      plan.outputs.map(\.tensor.name).filter { name in patterns.contains { $0.matches(name) } }
    )
    let wide = try plan.casting(to: .float32) { !kept.contains($0) }
    if let type = dtype.elementType {
      return (try wide.casting(to: type) { kept.contains($0) }, [])
    }
    // As llama.cpp does it: vectors stay float32, rows that are no whole blocks become halves.
    let float32 = try wide.casting(to: .float32)
    let matrices = float32.outputs.map(\.tensor).filter {
      $0.elementType == .float32 && $0.shape.rank > 1 && !kept.contains($0.name)
        && !plan.keptTypes.contains($0.name)
    }
    let quantized = Set(matrices.filter(\.isBlocked).map(\.name))
    let halves = Set(matrices.map(\.name)).subtracting(quantized)
    return (try float32.casting(to: .float16) { !halves.contains($0) }, quantized)
  }
}
