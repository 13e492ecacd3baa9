import Fixtures
import Foundation
import TesseraCheckpoints
import TesseraCore
import Testing

/// What the formats' own libraries read of `fixtures/weights/formats`.
private let golden: [String: [String: GoldenTensor]] = {
  let path = Fixtures.path("weights/formats/expected.json")
  let data = FileManager.default.contents(atPath: path) ?? Data()
  return (try? JSONDecoder().decode([String: [String: GoldenTensor]].self, from: data)) ?? [:]
}()

private func open(_ name: String) throws -> any CheckpointReader {
  try Checkpoint.open(Fixtures.path("weights/formats/\(name)"))
}

@Suite struct CheckpointFormatsTests {
  @Test(arguments: [
    ("kinds.pt", "torch-zip"), ("legacy.pt", "torch-legacy"), ("module.pkl", "pickle"),
    ("stored.npz", "npz"), ("deflated.npz", "npz"), ("tree.msgpack", "flax-msgpack"),
    ("model.onnx", "onnx"), ("blocks.gguf", "gguf"), ("../torch/pnet.pt", "torch-legacy"),
    ("../torch/alex-v0.0.pth", "torch-legacy"), ("../torch/alex-v0.1.pth", "torch-legacy"),
  ])
  func `every tensor is the library's own, read whole or in odd pieces`(
    name: String,
    format: String
  ) throws {
    let checkpoint = try open(name)
    let expected = try #require(golden[name])
    #expect(checkpoint.format == format)
    #expect(Set(checkpoint.tensors.map(\.name)) == Set(expected.keys))
    for tensor in checkpoint.tensors {
      let golden = try #require(expected[tensor.name])
      #expect(tensor.elementType.rawValue == golden.dtype, "\(tensor.name)")
      #expect(tensor.shape.dimensions == golden.shape, "\(tensor.name)")
      #expect(try checkpoint.digest(of: tensor) == golden.sha256, "\(tensor.name)")
      #expect(try checkpoint.digest(of: tensor, step: 37) == golden.sha256, "\(tensor.name)")
    }
  }

  @Test(arguments: ["kinds.pt", "legacy.pt"])
  func `tensors with the same data are aliases, other views are noted`(name: String) throws {
    let checkpoint = try open(name)
    let aliases = checkpoint.tensors.filter { $0.aliasOf != nil }
    #expect(aliases.map(\.name) == ["state_dict.tied"])
    #expect(aliases[0].aliasOf == "state_dict.base")
    #expect(checkpoint.notes.contains { $0.contains("'state_dict.transposed'") })
    #expect(checkpoint.attributes["epoch"] == "3")
    #expect(checkpoint.attributes["rate"] == "0.5")
  }

  @Test func `a call in a pickle is a record of its parts`() throws {
    let path = Fixtures.path("weights/formats/call.pkl")
    let tree = try PickleTree(path: path)
    let record = try #require(tree.record(tree.root))
    #expect(tree.className(tree.root)?.description == "os.system")
    let arguments = try #require(tree.elements(record.arguments))
    #expect(tree.text(arguments[0]) == "touch /tmp/ran")
    #expect(record.state == nil)
    let notes = try Checkpoint.open(path).notes
    #expect(notes.contains { $0.hasPrefix("dangerous global 'os.system'") })
  }

  @Test func `a pickled module can be walked as data`() throws {
    let tree = try PickleTree(path: Fixtures.path("weights/formats/module.pkl"))
    let ema = try #require(tree.field("ema", of: tree.root))
    #expect(tree.className(ema)?.name == "Sequential")
    let modules = try #require(tree.field("_modules", of: ema))
    let first = try #require(tree.entries(modules)?.first)
    #expect(tree.text(first.key) == "0")
    #expect(tree.className(first.value)?.description == "torch.nn.modules.linear.Linear")
    #expect(tree.field("in_features", of: first.value).flatMap(tree.integer) == 2)
    #expect(tree.globals.contains { $0.name == "BatchNorm1d" })
  }

  @Test func `an error is one line whatever the names in it are`() {
    let line = "f: a\\nb: c\\u{1B}[31m"
    let (place, cause) = ("a\nb", "c\u{1B}[31m")
    #expect(TesseraError.malformed(cause, file: "f", place: place).description == line)
    #expect(TesseraError.malformed(cause, file: "f", place: place).description == line)
    #expect(TesseraError.malformed("g", file: "f").description == "f: g")
  }

  @Test func `pickled objects are refused where arrays are expected`() throws {
    let error = #expect(throws: TesseraError.self) { try open("objects.npy") }
    #expect(error?.description.contains("pickled Python objects") == true)
  }

  @Test func `a folder is searched as Hugging Face's libraries search it`() throws {
    let folder = try TemporaryFolder()
    let bin =
      FileManager.default.contents(atPath: Fixtures.path("weights/formats/kinds.pt")) ?? Data()
    _ = try folder.write(Array("{}".utf8), to: "config.json")
    _ = try folder.write(Array(bin), to: "pytorch_model.bin")
    _ = try folder.write(Array(bin), to: "training_args.bin")
    #expect(try Checkpoint.file(of: folder.path) == "\(folder.path)/pytorch_model.bin")
    let empty = Array("\u{2}\0\0\0\0\0\0\0{}".utf8)
    _ = try folder.write(empty, to: "model.safetensors")
    #expect(try Checkpoint.open(folder.path).format == "safetensors")
    _ = try folder.write(empty, to: "other.safetensors")
    #expect(try Checkpoint.file(of: folder.path) == "\(folder.path)/model.safetensors")
    try FileManager.default.removeItem(atPath: "\(folder.path)/model.safetensors")
    _ = try folder.write(empty, to: "third.safetensors")
    let error = #expect(throws: TesseraError.self) { try Checkpoint.file(of: folder.path) }
    #expect(error?.cause.contains("several checkpoints") == true)
  }

  @Test(arguments: [
    "kinds.pt", "legacy.pt", "module.pkl", "tree.msgpack", "blocks.gguf",
  ])
  func `a file that ends early is an error in one line`(name: String) throws {
    let path = Fixtures.path("weights/formats/\(name)")
    let bytes = Array(FileManager.default.contents(atPath: path) ?? Data())
    let folder = try TemporaryFolder()
    for part in 1..<24 {
      let cut = try folder.write(Array(bytes.prefix(bytes.count * part / 24)), to: name)
      let error = #expect(throws: (any Error).self) { try Checkpoint.open(cut) }
      let classified = try #require(error as? TesseraError)
      #expect(classified.kind == .malformedInput)
      #expect(!classified.description.contains("\n"))
    }
  }
}
