package import TesseraCheckpoints
package import TesseraCore
import TesseraRules

/// The three networks with which score identity distillation begins: teacher, fake score and generator,
/// all of them the teacher (Zhou et al., arXiv 2404.04057).
package struct TrainingTriple: Sendable {
  /// Which of the three.
  package enum Role: String, Sendable, Hashable, CaseIterable, Codable {
    /// The score of the data: never trained.
    case teacher
    /// The score of what the generator makes: trained by denoising.
    case fakeScore = "fake_score"
    /// G(z) = D(σ z; σ): trained by the loss, and what is kept.
    case generator
  }

  /// The numbers of the loss, as the published runs have them.
  package struct Constants: Sendable, Hashable, Codable {
    /// The generator's noise level.
    package var sigmaInit: Double
    /// The standard deviation of the data in EDM's preconditioning.
    package var sigmaData: Double
    /// The weight of ‖difference of the scores‖² in the loss.
    package var alpha: Double
    /// The largest time of a noise level, of 1000.
    package var tMax: Double
    /// The noise level of time 0.
    package let sigmaMin: Double
    /// The noise level of time 1000.
    package let sigmaMax: Double
    /// The exponent between them.
    package let rho: Double

    private enum CodingKeys: String, CodingKey {
      case alpha, rho
      case sigmaInit = "sigma_init"
      case sigmaData = "sigma_data"
      case tMax = "t_max"
      case sigmaMin = "sigma_min"
      case sigmaMax = "sigma_max"
    }

    /// Constants of a run.
    ///
    /// - Throws: `TesseraError` where one of them is not positive, or `tMax` beyond 1000.
    package init(
      sigmaInit: Double,
      sigmaData: Double,
      alpha: Double,
      tMax: Double
    ) throws(TesseraError) {
      let values = [
        ("sigma_init", sigmaInit), ("sigma_data", sigmaData), ("alpha", alpha), ("t_max", tMax),
      ]
      for (name, value) in values where value <= 0 || !value.isFinite {
        throw TesseraError.limit("\(name) \(value) is not positive")
      }
      guard tMax <= 1000 else {
        throw TesseraError.limit("t_max \(tMax) is beyond 1000")
      }
      (self.sigmaInit, self.sigmaData, self.alpha, self.tMax) = (sigmaInit, sigmaData, alpha, tMax)
      (sigmaMin, sigmaMax, rho) = (0.002, 80, 7)
    }
  }

  /// A file of the triple.
  package struct File: Sendable, Hashable, Codable {
    /// What it is for.
    package let role: Role
    /// Its name in the folder.
    package let file: String
    /// The SHA-256 of its bytes.
    package let sha256: String
  }

  /// What stands in `triple.json` (`schemas/triple.schema.json`).
  package struct Manifest: Sendable, Hashable, Codable {
    /// `sid`.
    package let method: String
    /// The three files.
    package let networks: [File]
    /// The numbers of the loss.
    package let constants: Constants
    /// The loss in these numbers, for whoever reads the file.
    package let loss: String
    /// The architecture: `song` or `dhariwal`.
    package let architecture: String
    /// Tensors of each network.
    package let tensors: Int
    /// Their elements.
    package let parameters: Int
    /// An estimate of what training holds in float32: three networks and an average, two gradients
    /// and two states of Adam; activations come on top.
    package let trainingBytes: Int
    /// The teacher's file.
    package let source: String
    /// The version of the program.
    package let toolVersion: String

    private enum CodingKeys: String, CodingKey {
      case method, networks, constants, loss, architecture, tensors, parameters, source
      case trainingBytes = "training_bytes"
      case toolVersion = "tool_version"
    }
  }

  /// The manifest's name in the folder.
  package static let manifestName = "triple.json"
  /// Bytes of float32 a parameter: weights of teacher, fake score, generator and its average; gradient
  /// and two moments of two.
  private static let trainingBytesPerParameter = 4 * 4 + 2 * 3 * 4

  private let base: any CheckpointReader
  private let constants: Constants
  private let architecture: String
  private let toolVersion: String

  /// Prepares the triple of a teacher.
  ///
  /// - Parameters:
  ///   - base: The teacher's weights alone, under EDM's names.
  ///   - constants: The numbers of the loss.
  ///   - toolVersion: The version of the program.
  /// - Throws: `TesseraError` where the network is none of EDM's.
  package init(
    of base: any CheckpointReader,
    constants: Constants,
    toolVersion: String
  ) throws {
    let network = try NoiseConditionedNetwork(base)
    architecture = network.architecture == .song ? "song" : "dhariwal"
    (self.base, self.constants, self.toolVersion) = (base, constants, toolVersion)
  }

  /// The bytes of the three files' data.
  package var byteCount: Int {
    let size = base.tensors.reduce(0) { sum, tensor in
      let bytes = tensor.shape.elementCount.flatMap { tensor.elementType.byteCount(elements: $0) }
      return sum.addingReportingOverflow(bytes ?? 0).partialValue
    }
    return size.multipliedReportingOverflow(by: Role.allCases.count).partialValue
  }

  /// Writes `teacher.safetensors`, `fake_score.safetensors`, `generator.safetensors` and, last, the
  /// manifest; all of them appear at once.
  ///
  /// - Parameters:
  ///   - folder: Where they go; it exists.
  ///   - progress: Is told how many bytes of data have been written.
  /// - Returns: The manifest.
  /// - Throws: What reading and writing throw.
  package func write(
    to folder: String,
    progress: @Sendable (Int) -> Void = { _ in }
  ) async throws -> Manifest {
    // It makes the others count: another run to the same folder is refused from the start.
    var file = try AtomicFile(path: "\(folder)/\(Self.manifestName)", reading: base.files)
    var set = AtomicFileSet()
    var obsolete: [String] = []
    var networks: [File] = []
    for (index, role) in Role.allCases.enumerated() {
      let name = "\(role.rawValue).safetensors"
      let path = "\(folder)/\(name)"
      let older = OlderOutput(of: path, format: .safetensors)
      let labelled = try ComputedCheckpoint(
        base,
        computing: [],
        attributes: [
          "tessera.distill.role": role.rawValue, "tessera.distill.method": "sid",
          "tessera.distill.sigma_init": "\(constants.sigmaInit)",
          "tessera.distill.sigma_data": "\(constants.sigmaData)",
        ]
      )
      let conversion = CheckpointConversion(
        of: labelled,
        sourceFiles: base.files,
        plan: try ConversionPlan([], of: labelled, configuration: nil, settings: [:]),
        toolVersion: toolVersion
      )
      let done = byteCount / Role.allCases.count * index
      let network = try await conversion.file(
        of: conversion.tensors(in: .safetensors),
        at: path,
        claiming: older.claim,
        CheckpointFilling(conversion, .safetensors, [])
      ) { progress(done + $0) }
      let hash = try FileDigest.sha256(of: network.partialPath)
      try set.add(network)
      obsolete += try older.files(besides: [path])
      networks.append(File(role: role, file: name, sha256: hash))
    }
    let manifest = manifest(of: networks)
    try file.write(Array(try CanonicalJSON.document(manifest)))
    for old in obsolete { try AtomicFile.checkTarget(old, inputs: base.files) }
    try set.commit(with: file, replacing: obsolete)
    return manifest
  }

  private func manifest(of networks: [File]) -> Manifest {
    let parameters = base.tensors.reduce(0) {
      $0.addingReportingOverflow($1.shape.elementCount ?? 0).partialValue
    }
    return Manifest(
      method: "sid",
      networks: networks,
      constants: constants,
      loss: "s = D_teacher(x_t; sigma) - D_fake(x_t; sigma); w = mean |x - D_teacher(x_t; sigma)|; "
        + "loss = sum s (D_teacher(x_t; sigma) - x - alpha s) / w; "
        + "x = generator(sigma_init z; sigma_init), x_t = x + sigma noise",
      architecture: architecture,
      tensors: base.tensors.count,
      parameters: parameters,
      trainingBytes: parameters.multipliedReportingOverflow(by: Self.trainingBytesPerParameter)
        .partialValue,
      source: base.files.first?.split(separator: "/").last.map(String.init) ?? "",
      toolVersion: toolVersion
    )
  }
}
