import TesseraTokenizers
import Testing

@Suite struct NetworkGoldenTests {
  let samples: [String: NetworkSample]

  init() throws { samples = try NetworkSample.all() }

  @Test(arguments: ["haar", "attention", "odd"])
  func `the encoder gives PyTorch's latents, the same bits on every instruction set`(
    name: String
  ) throws {
    let sample = try #require(samples[name])
    let graph = try #require(
      try AutoencoderConfiguration(shapes: sample.tensors).encoderGraph()
    )
    try compare(
      graph,
      sample,
      height: sample.height,
      width: sample.width,
      "image",
      "\(name)-latents"
    )
  }

  @Test(arguments: ["haar", "attention", "odd"])
  func `the decoder gives PyTorch's pixels, the same bits on every instruction set`(
    name: String
  ) throws {
    let sample = try #require(samples[name])
    let configuration = try AutoencoderConfiguration(shapes: sample.tensors)
    let encoder = try #require(try configuration.encoderGraph())
    let graph = try #require(try configuration.decoderGraph())
    let (height, width) = try encoder.outputExtents(height: sample.height, width: sample.width)
    try compare(graph, sample, height: height, width: width, "codes", "\(name)-decoded")
  }

  /// The tolerance is that of the contract, 1e-4, for outputs of a standard deviation of 0.5 to 2.2.
  private func compare(
    _ graph: NetworkGraph,
    _ sample: NetworkSample,
    height: Int,
    width: Int,
    _ input: String,
    _ golden: String
  ) throws {
    let network = try sample.network(graph)
    let expected = try NetworkSample.golden(golden)
    let values = draw(input, height * width * graph.inputChannels)
    var reference: [Float] = []
    for instructions in instructionSets {
      let workspace = try NetworkWorkspace(
        network,
        height: height,
        width: width,
        instructions: instructions
      )
      var output: [Float] = []
      try workspace.run(values, into: &output)
      let difference = largestDifference(output, expected)
      #expect(difference < 1e-4, "\(instructions): differs by \(difference)")
      if reference.isEmpty { reference = output }
      #expect(bits(output) == bits(reference), "\(instructions)")
    }
  }

  @Test func `one workspace gives the same bits whatever ran in it before`() throws {
    let sample = try #require(samples["attention"])
    let graph = try #require(
      try AutoencoderConfiguration(shapes: sample.tensors).encoderGraph()
    )
    let network = try sample.network(graph)
    let fresh = try NetworkWorkspace(network, height: sample.height, width: sample.width)
    let used = try NetworkWorkspace(network, height: sample.height, width: sample.width)
    let values = draw("image", fresh.inputCount)
    var (expected, output): ([Float], [Float]) = ([], [])
    try fresh.run(values, into: &expected)
    try used.run([Float](repeating: .infinity, count: used.inputCount), into: &output)
    #expect(output.contains { !$0.isFinite })
    try used.run(values, into: &output)
    #expect(bits(output) == bits(expected))
  }

  @Test func `tasks that share a network give the same bits`() async throws {
    let sample = try #require(samples["haar"])
    let graph = try #require(
      try AutoencoderConfiguration(shapes: sample.tensors).encoderGraph()
    )
    let network = try sample.network(graph)
    let shared = try NetworkWorkspace(network, height: sample.height, width: sample.width)
    let values = draw("image", shared.inputCount)
    var expected: [Float] = []
    try shared.run(values, into: &expected)
    let (height, width) = (sample.height, sample.width)
    try await withThrowingTaskGroup(of: [Float].self) { group in
      for task in 0..<8 {
        group.addTask {
          let workspace =
            task.isMultiple(of: 2)
            ? shared : try NetworkWorkspace(network, height: height, width: width)
          var output: [Float] = []
          for _ in 0..<4 { try workspace.run(values, into: &output) }
          return output
        }
      }
      for try await output in group { #expect(bits(output) == bits(expected)) }
    }
  }
}
