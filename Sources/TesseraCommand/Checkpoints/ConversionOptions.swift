public import ArgumentParser
public import TesseraRules

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
  @Option(
    help: """
      The type of floating-point tensors: f64, f32, f16, bf16, rounded to nearest even; a number \
      without a finite value there ends the conversion. q8_0 for .gguf: blocks of 32 in matrices.
      """
  )
  var dtype: WeightPrecision?

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
}

extension WeightPrecision: ExpressibleByArgument {}
