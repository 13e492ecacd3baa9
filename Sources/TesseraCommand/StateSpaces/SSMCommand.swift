import ArgumentParser

/// State-space files: made, discretised, applied and checked.
struct SSMCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ssm",
    abstract: "Make, discretise, apply and check state spaces.",
    discussion: """
      A state-space file contains A, B (and C, D, Lambda, P, V, A_bar, B_bar, dt where they apply) \
      in .safetensors, .npz or .h5, and in its metadata (tessera.ssm.…) the conventions that give \
      them their meaning. Complex values are a last axis of 2; Lambda, P and V have one of each \
      conjugate pair.

      EXAMPLE
        tessera ssm hippo --measure legs --order 64 -o legs.safetensors
        tessera ssm discretize legs.safetensors --method zoh --dt 0.01 \\
          -o step.safetensors
        tessera ssm discretize legs.safetensors --legs 100 --convention optimal \\
          -o step.safetensors
      """,
    subcommands: [
      SSMHippoCommand.self, SSMDiscretizeCommand.self, SSMEncodeCommand.self, SSMKernelCommand.self,
      SSMCheckCommand.self, SSMRateCommand.self, SSMDiagonalizeCommand.self, SSMConvertCommand.self,
    ]
  )
}
