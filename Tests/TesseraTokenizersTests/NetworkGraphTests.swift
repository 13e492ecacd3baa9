import TesseraCore
import TesseraTokenizers
import Testing

@Suite struct NetworkGraphTests {
  let shapes: [String: Shape]

  init() throws { shapes = try #require(try NetworkSample.all()["attention"]).tensors }

  @Test func `sizes follow from the shapes`() throws {
    let configuration = try AutoencoderConfiguration(shapes: shapes)
    let encoder = try #require(configuration.encoder)
    #expect(encoder.levels.map(\.channels) == [32, 64, 96])
    #expect(encoder.levels.map(\.blocks) == [2, 2, 2])
    #expect(encoder.levels.map(\.attends) == [false, false, true])
    #expect(encoder.levels.map(\.resamples) == [true, true, false])
    #expect(encoder.middleAttends && encoder.patch == 1)
    #expect(encoder.latentChannels == 24 && encoder.codeChannels == 6)
    let decoder = try #require(configuration.decoder)
    #expect(decoder.levels.map(\.blocks) == [3, 3, 3])
    #expect(decoder.levels.map(\.resamples) == [false, true, true])
    try configuration.check(shapes: shapes)
    let graph = try #require(try configuration.encoderGraph())
    #expect(graph.inputMultiple == 4)
    #expect(try graph.outputExtents(height: 28, width: 40) == (7, 10))
    // conv_in alone: 28 x 40 positions, 9 taps, 3 to 32 channels.
    #expect(graph.multiplyAdds(height: 28, width: 40) > 28 * 40 * 9 * 3 * 32)
  }

  @Test func `parameters that are missing, misshapen or left over are named`() throws {
    let configuration = try AutoencoderConfiguration(shapes: shapes)
    let name = "encoder.down.0.block.1.norm2.bias"
    var damaged = shapes
    damaged[name] = nil
    #expect(throws: TesseraError.missingParameter(name: name, expected: [32])) {
      try configuration.check(shapes: damaged)
    }
    damaged[name] = [31]
    let misshapen = TesseraError.misshapenParameter(name: name, shape: [31], expected: [32])
    #expect(throws: misshapen) { try configuration.check(shapes: damaged) }
    #expect(misshapen.kind == .mismatch)
    #expect(misshapen.description == "\(name): shape [31], expected [32]")
    damaged[name] = [32]
    damaged["quantize.embedding.weight"] = [64, 6]
    #expect(
      throws: TesseraError.unusedParameter(name: "quantize.embedding.weight", shape: [64, 6])
    ) { try configuration.check(shapes: damaged) }
    try configuration.check(shapes: damaged, except: ["quantize.embedding.weight"])
  }

  @Test func `a network names the parameter that it cannot take`() throws {
    let graph = try NetworkGraph(
      inputChannels: 3,
      layers: [.convolution(Convolution("conv", 3, 8, .same))]
    )
    #expect(throws: TesseraError.missingParameter(name: "conv.weight", expected: [8, 3, 3, 3])) {
      try ConvolutionalNetwork(graph) { _ in nil }
    }
    #expect(
      throws: TesseraError.misshapenParameter(
        name: "conv.weight",
        shape: [8, 3, 1, 1],
        expected: [8, 3, 3, 3]
      )
    ) { try ConvolutionalNetwork(graph) { _ in ([8, 3, 1, 1], [Float](repeating: 0, count: 24)) } }
    #expect(throws: TesseraError.wrongCount(name: "conv.weight", count: 24, expected: 216)) {
      try ConvolutionalNetwork(graph) { _ in ([8, 3, 3, 3], [Float](repeating: 0, count: 24)) }
    }
  }

  @Test(arguments: [(0, 8), (8, 0), (-4, 8), (30, 40), (28, 41), (1 << 20, 8), (Int.max, 4)])
  func `extents that do not fit are refused`(height: Int, width: Int) throws {
    let graph = try #require(try AutoencoderConfiguration(shapes: shapes).encoderGraph())
    #expect(throws: TesseraError.extents(height: height, width: width, multiple: 4)) {
      _ = try graph.outputExtents(height: height, width: width)
    }
  }

  @Test func `memory beyond the limit and inputs of another size are refused`() throws {
    let sample = try #require(try NetworkSample.all()["attention"])
    let graph = try #require(try AutoencoderConfiguration(shapes: shapes).encoderGraph())
    let network = try sample.network(graph)
    #expect(throws: TesseraError.memory(height: 65536, width: 65536, limit: 16 << 30)) {
      _ = try NetworkWorkspace(network, height: 65536, width: 65536)
    }
    let workspace = try NetworkWorkspace(network, height: 8, width: 12)
    var output: [Float] = []
    #expect(throws: TesseraError.inputCount(count: 5, expected: 288)) {
      try workspace.run([0, 0, 0, 0, 0], into: &output)
    }
  }

  @Test func `layers that do not fit together are refused`() {
    #expect(throws: TesseraError.self) {
      try NetworkGraph(
        inputChannels: 3,
        layers: [
          .convolution(Convolution("one", 3, 8, .same)),
          .convolution(Convolution("two", 9, 8, .same)),
        ]
      )
    }
    #expect(throws: TesseraError.self) {
      try NetworkGraph(inputChannels: 3, inputPatch: 3, layers: [])
    }
    #expect(throws: TesseraError.self) {
      try NetworkGraph(inputChannels: 48, layers: [.residual(ResidualBlock("block", 48, 48))])
    }
  }

  @Test(arguments: ["encoder.conv_out.weight", "encoder.down.0.block.0.conv2.weight"])
  func `weights of another kind are refused by name`(name: String) throws {
    var damaged = shapes
    damaged[name] = nil
    let error = #expect(throws: TesseraError.self) {
      try AutoencoderConfiguration(shapes: damaged)
    }
    #expect(error?.description.hasPrefix(name) == true)
    #expect(throws: TesseraError.self) { try AutoencoderConfiguration(shapes: [:]) }
  }
}
