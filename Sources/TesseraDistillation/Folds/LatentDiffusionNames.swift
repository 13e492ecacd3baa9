/// The names that a diffusers UNet's modules have in the original code of latent diffusion, as adapters of
/// kohya's for SDXL spell them.
///
/// `down_blocks.1.attentions.0` is `input_blocks.4.1`: the original counts all modules of a half in one
/// row. How many stand in a block is read from the checkpoint's own names.
struct LatentDiffusionNames {
  /// Resnets in each of the `down_blocks`; `up_blocks` have one more.
  private let layers: Int
  /// The `up_blocks` with attention: their upsampler is the third module of its place, not the second.
  private let attending: Set<Int>

  /// What a resnet's layers are called.
  private static let resnet = [
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0", "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
  ]
  private static let others = [
    "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2",
  ]

  /// Reads the sizes from the paths of modules; nil where they are no UNet of diffusers.
  init?(_ paths: some Sequence<String>) {
    var resnets: Set<String> = []
    var attending: Set<Int> = []
    for path in paths {
      let parts = path.split(separator: ".").map(String.init)
      guard parts.count > 3 else { continue }
      if parts[0] == "down_blocks", parts[1] == "0", parts[2] == "resnets" {
        resnets.insert(parts[3])
      }
      if parts[0] == "up_blocks", parts[2] == "attentions", let block = Int(parts[1]) {
        attending.insert(block)
      }
    }
    guard !resnets.isEmpty, resnets.count <= 16 else { return nil }
    layers = resnets.count
    self.attending = attending
  }

  /// The original name of a module; nil where there is none.
  func name(of path: String) -> String? {
    if let other = LatentDiffusionNames.others[path] { return other }
    let parts = path.split(separator: ".").map(String.init)
    guard parts.count > 3, let block = number(parts[1]) else {
      return middle(parts)
    }
    let rest = parts[4...].joined(separator: ".")
    guard let layer = number(parts[3]) else { return nil }
    switch (parts[0], parts[2]) {
    case ("down_blocks", "resnets"):
      return resnet(rest, in: "input_blocks.\(1 + block * (layers + 1) + layer).0")
    case ("down_blocks", "attentions"):
      return "input_blocks.\(1 + block * (layers + 1) + layer).1.\(rest)"
    case ("down_blocks", "downsamplers"):
      return rest == "conv" ? "input_blocks.\((block + 1) * (layers + 1)).0.op" : nil
    case ("up_blocks", "resnets"):
      return resnet(rest, in: "output_blocks.\(block * (layers + 1) + layer).0")
    case ("up_blocks", "attentions"):
      return "output_blocks.\(block * (layers + 1) + layer).1.\(rest)"
    case ("up_blocks", "upsamplers"):
      let place = attending.contains(block) ? 2 : 1
      return "output_blocks.\(block * (layers + 1) + layers).\(place).\(rest)"
    default: return nil
    }
  }

  /// A number that no sum of these overflows.
  private func number(_ text: String) -> Int? {
    Int(text).flatMap { (0..<1 << 20) ~= $0 ? $0 : nil }
  }

  /// `mid_block.resnets.1.conv1`: the middle has resnet, attention, resnet.
  private func middle(_ parts: [String]) -> String? {
    guard parts.count > 3, parts[0] == "mid_block", let layer = number(parts[2]) else { return nil }
    let rest = parts[3...].joined(separator: ".")
    switch parts[1] {
    case "resnets": return resnet(rest, in: "middle_block.\(2 * layer)")
    case "attentions": return "middle_block.\(2 * layer + 1).\(rest)"
    default: return nil
    }
  }

  private func resnet(_ layer: String, in place: String) -> String? {
    LatentDiffusionNames.resnet[layer].map { "\(place).\($0)" }
  }
}
