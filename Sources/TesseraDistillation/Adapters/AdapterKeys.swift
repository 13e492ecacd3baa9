/// What a name in an adapter file says: the module it changes, and which part of the change it is.
///
/// Three ways of naming are known: peft (`lora_A`, `lora_B`), kohya and LyCORIS (`lora_down`, `alpha`,
/// `hada_w1_a`, `lokr_w1`) and the older diffusers (`to_q_lora.down`, `lora_linear_layer.up`).
struct AdapterKey: Hashable {
  /// A part of an adapter's module.
  enum Part: String, Hashable {
    case down, up, mid, alpha, magnitude
    case embeddingDown, embeddingUp
    case hadamard1Up = "hada_w1_a"
    case hadamard1Down = "hada_w1_b"
    case hadamard2Up = "hada_w2_a"
    case hadamard2Down = "hada_w2_b"
    case hadamard1Core = "hada_t1"
    case hadamard2Core = "hada_t2"
    case kronecker1 = "lokr_w1"
    case kronecker1Up = "lokr_w1_a"
    case kronecker1Down = "lokr_w1_b"
    case kronecker2 = "lokr_w2"
    case kronecker2Up = "lokr_w2_a"
    case kronecker2Down = "lokr_w2_b"
    case kronecker2Core = "lokr_t2"
  }

  /// Who names tensors so.
  enum Naming: String, Hashable {
    case peft, kohya, diffusers
  }

  /// The module's path as the adapter spells it, without its prefix.
  let module: String
  /// The part.
  let part: Part
  /// The naming.
  let naming: Naming
  /// Which of several models the module belongs to, such as `unet`, `te1` or `text_encoder_2`; nil
  /// where the name does not say.
  let component: String?

  private static let endings: [(ending: String, part: Part)] =
    [
      ("lora_A", .down), ("lora_B", .up), ("lora_embedding_A", .embeddingDown),
      ("lora_embedding_B", .embeddingUp), ("lora_magnitude_vector", .magnitude),
      ("lora_down", .down), ("lora_up", .up), ("lora_mid", .mid), ("lora.down", .down),
      ("lora.up", .up), ("lora_linear_layer.down", .down), ("lora_linear_layer.up", .up),
      ("dora_scale", .magnitude), ("alpha", .alpha),
    ]
    + [
      .hadamard1Up, .hadamard1Down, .hadamard2Up, .hadamard2Down, .hadamard1Core, .hadamard2Core,
      .kronecker1, .kronecker1Up, .kronecker1Down, .kronecker2, .kronecker2Up, .kronecker2Down,
      .kronecker2Core,
    ].map { (part: Part) in (part.rawValue, part) }

  private static let underscored = [
    "lora_unet_", "lora_te1_", "lora_te2_", "lora_te_", "lora_transformer_", "lycoris_",
  ]

  /// Reads a name; nil where it is no part of an adapter.
  init?(_ name: String) {
    var words = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    if words.last == "weight" { words.removeLast() }
    // peft's own training files carry the adapter's name; saved ones do not.
    if words.last == "default" { words.removeLast() }
    let stem = words.joined(separator: ".")
    if let old = AdapterKey.processor(words) {
      self = old
      return
    }
    let match = AdapterKey.endings.first { stem.hasSuffix(".\($0.ending)") }
    guard let match else { return nil }
    var module = String(stem.dropLast(match.ending.count + 1))
    if let prefix = AdapterKey.underscored.first(where: { module.hasPrefix($0) }) {
      module = String(module.dropFirst(prefix.count))
      let words = prefix.split(separator: "_")
      let component = words.count == 2 ? String(words[1]) : nil
      self.init(module: module, part: match.part, naming: .kohya, component: component)
    } else if module.hasPrefix("base_model.model.") {
      module = String(module.dropFirst("base_model.model.".count))
      self.init(module: module, part: match.part, naming: .peft)
    } else {
      let first = String(module.prefix { $0 != "." })
      self.init(
        module: module,
        part: match.part,
        naming: .diffusers,
        component: AdapterKey.components.contains(first) ? first : nil
      )
    }
  }

  /// What diffusers calls the models of a pipeline that adapters change.
  private static let components: Set<String> = [
    "unet", "transformer", "text_encoder", "text_encoder_2", "text_encoder_3",
  ]

  private init(module: String, part: Part, naming: Naming, component: String? = nil) {
    (self.module, self.part, self.naming, self.component) = (module, part, naming, component)
  }

  /// Whether the module belongs to a model as kohya or diffusers call it.
  func belongs(to model: String) -> Bool {
    let same = [["te", "te1", "text_encoder"], ["te2", "text_encoder_2"]]
    guard let component else { return false }
    return component == model || same.contains { $0.contains(component) && $0.contains(model) }
  }

  /// `….attn1.processor.to_q_lora.down`: the attention processors that diffusers once saved.
  private static func processor(_ words: [String]) -> AdapterKey? {
    guard words.count > 3, words[words.count - 3] == "processor",
      let part = ["down": Part.down, "up": Part.up][words[words.count - 1]],
      words[words.count - 2].hasSuffix("_lora")
    else { return nil }
    let layer = String(words[words.count - 2].dropLast("_lora".count))
    let path = words.dropLast(3) + [layer == "to_out" ? "to_out.0" : layer]
    return AdapterKey(module: path.joined(separator: "."), part: part, naming: .diffusers)
  }
}
