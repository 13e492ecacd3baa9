import Fixtures
import Foundation
import TesseraCore
import TesseraTokenizers
import Testing

/// A checkpoint of a family as names and shapes: fixtures/families/names.json.
struct FamilySample: Decodable, Sendable {
  /// What stands before the tokenizer's own names.
  let prefix: String
  let tensors: [String: [Int]]

  static func all() throws -> [String: FamilySample] {
    let data = try Data(contentsOf: URL(filePath: Fixtures.path("families/names.json")))
    return try JSONDecoder().decode([String: FamilySample].self, from: data)
  }

  /// Writes float16 zeros under these names and shapes, as a file with a hole.
  static func write(_ tensors: [String: [Int]], to path: String) throws {
    var offset = 0
    let fields = tensors.sorted { $0.key < $1.key }.map { name, shape in
      let end = offset + 2 * shape.reduce(1, *)
      defer { offset = end }
      let extents = #""dtype":"F16","shape":\#(shape),"data_offsets":[\#(offset),\#(end)]"#
      return "\"\(name)\":{\(extents)}"
    }
    let header = Data("{\(fields.joined(separator: ","))}".utf8)
    let size = Data((0..<8).map { UInt8(truncatingIfNeeded: header.count >> (8 * $0)) })
    try (size + header).write(to: URL(filePath: path))
    let file = try FileHandle(forWritingTo: URL(filePath: path))
    try file.truncate(atOffset: UInt64(8 + header.count + offset))
    try file.close()
  }
}

/// Families whose checkpoints lost, renamed or gained tensors: each is refused, and what is wrong is named.
@Suite struct FamilyDamageTests {
  private let samples: [String: FamilySample]
  private let folder: TemporaryFolder

  /// The parts without which a checkpoint is that of the other half alone, or none.
  private static let halves = ["encoder", "decoder", "blocks"]

  init() throws {
    samples = try FamilySample.all()
    folder = try TemporaryFolder()
  }

  static let titles: [String] = (try? FamilySample.all().keys.sorted()) ?? []

  /// What the checkpoint is refused with; nil where it is opened.
  private func refusal(_ title: String, _ tensors: [String: [Int]]) throws -> (any Error)? {
    let path = "\(folder.path)/\(UUID().uuidString).safetensors"
    defer { try? FileManager.default.removeItem(atPath: path) }
    try FamilySample.write(tensors, to: path)
    let family = title.prefix { $0 != "," }
    let options = ["ibq", "open-magvit2"].contains(family) ? "@raw" : ""
    do {
      _ = try ImageTokenizer(opening: "\(family)\(options):\(path)", for: [])
      return nil
    } catch {
      return error
    }
  }

  private func expectRefusal(
    _ title: String,
    _ tensors: [String: [Int]],
    naming names: [String],
    _ what: String
  ) throws {
    guard let error = try refusal(title, tensors) else {
      Issue.record("\(title) is opened \(what)")
      return
    }
    let text = "\(error)"
    #expect((error as? TesseraError)?.kind == .mismatch, "\(title), \(what): \(text)")
    // Without both of VAR's tensors of queries, keys and values nothing says that they were one.
    let others = names.map { $0.replacing(".qkv.", with: ".q.") }
    #expect((names + others).contains(where: text.contains), "\(title), \(what): \(text)")
    #expect(!text.contains("\n"))
  }

  @Test(arguments: titles)
  func `a whole checkpoint is opened`(title: String) throws {
    let error = try refusal(title, try #require(samples[title]).tensors)
    #expect(error == nil)
  }

  /// Of families that share a spelling each drops another third of the names, so that every name is dropped.
  @Test(arguments: titles)
  func `without any one tensor it is refused by name`(title: String) throws {
    let sample = try #require(samples[title])
    let share = (Self.titles.firstIndex(of: title) ?? 0) % 3
    for (index, name) in sample.tensors.keys.sorted().enumerated()
    where index % 3 == share && !Self.isOrphan(title, name) {
      var tensors = sample.tensors
      let shape = tensors.removeValue(forKey: name)
      try expectRefusal(title, tensors, naming: [name], "without \(name)")
      guard index.isMultiple(of: 4) else { continue }
      let other = name + "_other"
      tensors[other] = shape
      try expectRefusal(title, tensors, naming: [name, other], "with \(name) renamed")
    }
  }

  /// Levels, blocks, attentions, resamplings, convolutions: whatever has a name of its own before a dot.
  @Test(arguments: titles)
  func `without any one part it is refused by name`(title: String) throws {
    let sample = try #require(samples[title])
    var parts: Set<String> = []
    for name in sample.tensors.keys {
      let pieces = name.dropFirst(sample.prefix.count).split(separator: ".").dropLast()
      for count in pieces.indices { parts.insert(pieces[...count].joined(separator: ".")) }
    }
    for part in parts.sorted() where !Self.isOptional(title, part) {
      let start = "\(sample.prefix)\(part)."
      let tensors = sample.tensors.filter { !$0.key.hasPrefix(start) }
      try expectRefusal(title, tensors, naming: Self.names(title, part), "without \(part)")
    }
  }

  @Test(arguments: titles)
  func `with any other tensor it is refused by name`(title: String) throws {
    let sample = try #require(samples[title])
    let quantizers = [
      "quantize.embedding_proj.weight", "quantize.codebook", "quantize.scale",
      "quantize.proj_out.weight",
      "quantizer.project_in.weight", "quantizer.layers.0.embed", "quantizer._codebook.embed",
      "vq.scale", "codebook.weight", "quant.weight", "quantize.embedding.bias",
    ]
    let others = ["encoder.surplus.weight", "pre_quant.bias", "CONSTANTS.c0", "lora_A.weight"]
    for name in quantizers + others {
      let whole = sample.prefix + name
      let tensors = sample.tensors.merging([whole: [8, 4]]) { $1 }
      try expectRefusal(title, tensors, naming: [whole], "with \(whole)")
    }
    // Beside the tokenizer's prefix a quantizer may be what makes the codes; a larger model's tensors may not.
    guard !sample.prefix.isEmpty else { return }
    for name in quantizers {
      let tensors = sample.tensors.merging([name: [8, 4]]) { $1 }
      try expectRefusal(title, tensors, naming: [name], "with \(name)")
    }
    let error = try refusal(title, sample.tensors.merging(["lm_head.weight": [8, 4]]) { $1 })
    #expect(error == nil)
  }

  @Test func `halves that no family publishes alone are refused`() throws {
    for (title, half, isWhole) in [
      ("taming", "decoder", true), ("cosmos", "encoder", true), ("cosmos", "decoder", true),
      ("maskgit", "decoder", false), ("vqvae", "_decoder", false), ("vqvae", "_encoder", false),
    ] {
      let tensors = try #require(samples[title]).tensors.filter { !$0.key.hasPrefix("\(half).") }
      if isWhole {
        let error = try refusal(title, tensors)
        #expect(error == nil, "\(title) without \(half)")
      } else {
        try expectRefusal(title, tensors, naming: ["\(half)."], "without \(half)")
      }
    }
  }

  /// What a refusal may say of a part that is lost: a name in it.
  private static func names(_ title: String, _ part: String) -> [String] {
    // Where the first level is lost that tells the spelling, the family's first spelling is named.
    if title == "emu3.5, Transformers", part.hasPrefix("encoder.stages") {
      return ["\(part).", "encoder.down.0.block."]
    }
    // Transformers' Janus tells the order of its levels by the coarsest level's resampling alone.
    return title == "janus, Transformers" && part.hasPrefix("decoder.up")
      ? ["decoder.up"] : ["\(part)."]
  }

  /// The convolution that Transformers' Chameleon keeps of its decoder.
  private static func isOrphan(_ title: String, _ name: String) -> Bool {
    title == "chameleon, Transformers" && name.contains("post_quant_conv.")
  }

  /// What a checkpoint may be without: the other half, and what nothing else in it tells of.
  private static func isOptional(_ title: String, _ part: String) -> Bool {
    if halves.contains(part) || isOrphan(title, part + ".") { return true }
    switch title {
    // Its levels have different depths in each half.
    case "show-o": return part.contains(".block.")
    // An encoder alone, whose family has networks with attention at a level and without.
    case "chameleon, Transformers", "emu3.5, Transformers":
      return part.contains(".attn") && part.contains("down") || part.hasSuffix(".attention")
    default: return false
    }
  }
}
