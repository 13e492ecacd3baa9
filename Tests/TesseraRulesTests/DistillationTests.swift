import Fixtures
import TesseraCheckpoints
import TesseraCore
import TesseraDistillation
import TesseraRules
import Testing

/// What is made of a distilled generator's weights: folds, golden samples, triples.
@Suite struct DistillationTests {
  /// A SongUNet of one level: 4 channels, images of 4 x 4, no label.
  private func network() -> [String: Tensor] {
    var tensors: [String: Tensor] = [:]
    func fill(_ name: String, _ shape: Shape) {
      let count = shape.elementCount ?? 0
      let values = (0..<count).map { Float(($0 * 37 + name.utf8.count * 11) % 19 - 9) / 40 }
      tensors[name] = Tensor(shape: shape, floats: values)
    }
    func layer(_ name: String, _ outputs: Int, _ rest: [Int]) {
      fill("\(name).weight", Shape([outputs] + rest))
      fill("\(name).bias", [outputs])
    }
    layer("map_layer0", 8, [4])
    layer("map_layer1", 8, [8])
    layer("enc.4x4_conv", 4, [1, 3, 3])
    for (block, inputs) in [("enc.4x4_block0", 4), ("dec.4x4_block0", 8), ("dec.4x4_block1", 8)] {
      layer("\(block).norm0", inputs, [])
      layer("\(block).conv0", 4, [inputs, 3, 3])
      layer("\(block).affine", 4, [8])
      layer("\(block).norm1", 4, [])
      layer("\(block).conv1", 4, [4, 3, 3])
      if inputs != 4 { layer("\(block).skip", 4, [inputs, 1, 1]) }
    }
    layer("dec.4x4_aux_norm", 4, [])
    layer("dec.4x4_aux_conv", 1, [4, 3, 3])
    return tensors
  }

  private let constants = SigmaFold.Constants(sigma: 2.5, sigmaData: 0.5)

  @Test func `golden samples are the same each time and differ by seed`() throws {
    let stored = try StoredTensors(network())
    let first = try GoldenSamples(of: stored.checkpoint, constants: constants, count: 3)
    let again = try GoldenSamples(of: stored.checkpoint, constants: constants, count: 3)
    let other = try GoldenSamples(of: stored.checkpoint, constants: constants, count: 3, seed: 1)
    #expect(first.shape == [3, 1, 4, 4] && first.labels.isEmpty)
    #expect(first.outputs == again.outputs && first.latents == again.latents)
    #expect(first.latents != other.latents)
    #expect(try first.file(toolVersion: "t") == again.file(toolVersion: "t"))
  }

  @Test func `what the evaluation needs and does not find is named`() throws {
    var tensors = network()
    tensors["dec.4x4_block1.conv1.weight"] = nil
    let stored = try StoredTensors(tensors)
    let error = #expect(throws: TesseraError.self) {
      try GoldenSamples(of: stored.checkpoint, constants: constants, count: 1)
    }
    #expect(error?.place == "'dec.4x4_block1.conv1.weight'" && error?.kind == .mismatch)
    let many = #expect(throws: TesseraError.self) {
      let whole = try StoredTensors(network())
      return try GoldenSamples(of: whole.checkpoint, constants: constants, count: 1 << 20)
    }
    #expect(many?.kind == .numericLimit)
  }

  @Test func `float64 is never filled with float32`() throws {
    var tensors = network()
    tensors["dec.4x4_aux_conv.bias"] = Tensor(shape: [1], elements: [0.25 as Double])
    let stored = try StoredTensors(tensors)
    let error = #expect(throws: TesseraError.self) {
      try SigmaFold(of: stored.checkpoint, constants: constants)
    }
    #expect(error?.place == "'dec.4x4_aux_conv.bias'" && error?.kind == .mismatch)
  }

  @Test func `a triple is written with its manifest`() async throws {
    let stored = try StoredTensors(network())
    let numbers = try TrainingTriple.Constants(sigmaInit: 2.5, sigmaData: 0.5, alpha: 1, tMax: 800)
    let triple = try TrainingTriple(
      of: stored.checkpoint,
      constants: numbers,
      toolVersion: "test"
    )
    let manifest = try await triple.write(to: stored.folder.path)
    #expect(manifest.networks.map(\.role) == [.teacher, .fakeScore, .generator])
    #expect(manifest.architecture == "song" && manifest.tensors == network().count)
    for file in manifest.networks {
      let path = "\(stored.folder.path)/\(file.file)"
      let written = try SafetensorsCheckpoint(path: path)
      #expect(try FileDigest.sha256(of: path) == file.sha256)
      #expect(written.attributes["tessera.distill.role"] == file.role.rawValue)
      for name in network().keys {
        #expect(try bytes(name, of: written) == bytes(name, of: stored.checkpoint))
      }
    }
    #expect(throws: TesseraError.self) {
      try TrainingTriple.Constants(sigmaInit: 2.5, sigmaData: 0.5, alpha: 1, tMax: 1001)
    }
  }
}
