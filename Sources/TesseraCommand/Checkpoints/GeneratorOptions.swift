import ArgumentParser
import TesseraCheckpoints
import TesseraCore
public import TesseraDistillation
import TesseraRules

/// What `convert` computes before it renames and writes: adapters, baked weights, a folded noise level.
struct GeneratorOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Merge a LoRA, DoRA, LoHa or LoKr: FILE, or FILE:STRENGTH; may be repeated.",
      valueName: "file[:strength]"
    ),
    completion: .file()
  )
  var lora: [String] = []

  @Option(
    help: """
      Of an adapter for several models, merge only this one's modules: unet, te1, te2, text_encoder, …; without it \
      every module must be the input's.
      """
  )
  var loraPart: String?

  @Option(
    help: "Compute parametrized weights once: weight-norm, edm2 or edm-qkv; may be repeated.",
    transform: GeneratorOptions.baking
  )
  var bake: [WeightBaking] = []

  @Option(
    help: "Fold an EDM or SiD generator at this noise level (SiD: 2.5); it then takes z ~ N(0, 1)."
  )
  var foldSigma: Double?

  @Option(
    help: ArgumentHelp(
      "Fold a generator of Stable Diffusion's kind (SiD-LSG: 625) at this time step, 0 to 999.",
      discussion: """
        The UNet has diffusers' names and the schedule of Stable Diffusion (scaled linear, 0.00085 \
        to 0.012); --prediction says what it predicts.
        """
    )
  )
  var foldTimestep: Int?

  @Option(help: "With --fold-timestep: epsilon (SD 1.5, 2.1-base) or v-prediction (SD 2.1).")
  var prediction: TimestepFold.Prediction?

  @Option(
    help: "The data's standard deviation in EDM's preconditioning, where the file does not say it."
  )
  var sigmaData: Double?

  @Option(
    help: ArgumentHelp(
      "With --fold-sigma: store this many latents and outputs beside the result (NAME.golden.safetensors).",
      discussion: """
        They are computed in float64 from the unfolded network, which must be EDM's SongUNet or \
        DhariwalUNet: seconds per sample of 32 x 32, minutes of 64 x 64. Whoever ports the \
        generator compares with them.
        """,
      valueName: "count"
    )
  )
  var golden: Int?

  func validate() throws {
    if let golden {
      guard foldSigma != nil else {
        throw ValidationError("'--golden' belongs to '--fold-sigma'.")
      }
      guard (1...GoldenSamples.limits.samples).contains(golden) else {
        throw ValidationError("'--golden' is from 1 to \(GoldenSamples.limits.samples).")
      }
      guard !bake.contains(.edmQKV) else {
        throw ValidationError(
          "'--golden' evaluates EDM's own order of q, k and v; leave '--bake edm-qkv' out."
        )
      }
    }
    if let foldTimestep {
      guard TimestepFold.Constants.steps.contains(foldTimestep) else {
        throw ValidationError("'--fold-timestep' is from 0 to 999.")
      }
      guard prediction != nil else {
        throw ValidationError("'--fold-timestep' needs '--prediction': files do not say it.")
      }
      guard foldSigma == nil else {
        throw ValidationError("'--fold-timestep' and '--fold-sigma' fold different networks.")
      }
    } else if prediction != nil {
      throw ValidationError("'--prediction' belongs to '--fold-timestep'.")
    }
    guard foldSigma != nil || sigmaData == nil else {
      throw ValidationError("'--sigma-data' belongs to '--fold-sigma'.")
    }
    guard loraPart == nil || !lora.isEmpty else {
      throw ValidationError("'--lora-part' belongs to '--lora'.")
    }
    for argument in lora where GeneratorRequest.Adapter(argument).path.isEmpty {
      throw ValidationError("'\(argument)': name the adapter's file.")
    }
  }

  /// Whether nothing is to be computed.
  var isEmpty: Bool { lora.isEmpty && bake.isEmpty && foldSigma == nil && foldTimestep == nil }

  @Sendable private static func baking(_ argument: String) throws -> WeightBaking {
    guard let baking = WeightBaking(rawValue: argument) else {
      let names = WeightBaking.allCases.map(\.rawValue).joined(separator: ", ")
      throw ValidationError("'\(argument)' is none of \(names).")
    }
    return baking
  }

  /// What the options ask for.
  var request: GeneratorRequest {
    GeneratorRequest(
      adapters: lora.map { GeneratorRequest.Adapter($0) },
      component: loraPart,
      baking: bake,
      foldSigma: foldSigma,
      sigmaData: sigmaData,
      golden: golden,
      fold: foldTimestep.flatMap { step in
        prediction.map { TimestepFold.Constants(timestep: step, prediction: $0) }
      }
    )
  }
}

extension TimestepFold.Prediction: ExpressibleByArgument {}
