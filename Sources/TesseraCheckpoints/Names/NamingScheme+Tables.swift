/// The naming schemes of one and the same network: tables, no code.
extension NamingScheme {
  /// taming-transformers and its heirs: the names that the graphs use.
  package static let taming = NamingScheme(
    "taming",
    anchors: [
      "encoder.down.0.block.0.conv1.weight", "encoder.down.0.block.0.conv2.weight",
      "decoder.up.0.block.0.conv1.weight", "decoder.up.0.block.0.conv2.weight",
    ]
  )

  /// LlamaGen and DeepSeek's Janus: the decoder's levels count from the coarsest.
  package static let llamagen = NamingScheme(
    "LlamaGen",
    anchors: [
      "encoder.conv_blocks.0.res.0.conv1.weight", "encoder.conv_blocks.0.res.0.conv2.weight",
      "decoder.conv_blocks.0.res.0.conv1.weight", "decoder.conv_blocks.0.res.0.conv2.weight",
    ],
    [
      ("encoder.conv_blocks.{i}.res.{j}.*", "encoder.down.{i}.block.{j}.*"),
      ("encoder.conv_blocks.{i}.attn.{j}.*", "encoder.down.{i}.attn.{j}.*"),
      ("encoder.conv_blocks.{i}.downsample.*", "encoder.down.{i}.downsample.*"),
      ("decoder.conv_blocks.{-i}.res.{j}.*", "decoder.up.{i}.block.{j}.*"),
      ("decoder.conv_blocks.{-i}.attn.{j}.*", "decoder.up.{i}.attn.{j}.*"),
      ("decoder.conv_blocks.{-i}.upsample.*", "decoder.up.{i}.upsample.*"),
      ("encoder.mid.0.*", "encoder.mid.block_1.*"), ("encoder.mid.1.*", "encoder.mid.attn_1.*"),
      ("encoder.mid.2.*", "encoder.mid.block_2.*"), ("decoder.mid.0.*", "decoder.mid.block_1.*"),
      ("decoder.mid.1.*", "decoder.mid.attn_1.*"), ("decoder.mid.2.*", "decoder.mid.block_2.*"),
    ]
  )

  /// Transformers' Janus: taming's names, but the decoder's levels count from the coarsest.
  package static let transformersJanus = NamingScheme(
    "Transformers (Janus)",
    anchors: [
      "decoder.up.0.upsample.conv.weight", "decoder.up.0.upsample.conv.bias",
    ],
    [
      ("decoder.up.{-i}.block.{j}.*", "decoder.up.{i}.block.{j}.*"),
      ("decoder.up.{-i}.attn.{j}.*", "decoder.up.{i}.attn.{j}.*"),
      ("decoder.up.{-i}.upsample.*", "decoder.up.{i}.upsample.*"),
    ]
  )

  /// Transformers' Apertus 1.5: Emu3.5's encoder in stages of layers, each a block and its attention.
  package static let transformersApertus = NamingScheme(
    "Transformers (Apertus)",
    anchors: [
      "encoder.stages.0.layers.0.resnet.conv1.weight",
      "encoder.stages.0.layers.0.resnet.conv2.weight",
    ],
    [
      ("encoder.stages.{i}.layers.{j}.resnet.*", "encoder.down.{i}.block.{j}.*"),
      ("encoder.stages.{i}.layers.{j}.attention.*", "encoder.down.{i}.attn.{j}.*"),
      ("encoder.stages.{i}.downsample.*", "encoder.down.{i}.downsample.*"),
    ]
  )

  /// diffusers' VQModel; attention as linear layers, in old files under older names.
  package static let diffusers = NamingScheme(
    "diffusers",
    anchors: [
      "encoder.down_blocks.0.resnets.0.conv1.weight",
      "encoder.down_blocks.0.resnets.0.conv2.weight", "decoder.up_blocks.0.resnets.0.conv1.weight",
      "decoder.up_blocks.0.resnets.0.conv2.weight",
    ],
    levels("encoder.down_blocks.{i}", "encoder.down.{i}")
      + levels("decoder.up_blocks.{-i}", "decoder.up.{i}")
      + [
        ("encoder.down_blocks.{i}.downsamplers.0.*", "encoder.down.{i}.downsample.*"),
        ("decoder.up_blocks.{-i}.upsamplers.0.*", "decoder.up.{i}.upsample.*"),
      ]
      + ["encoder", "decoder"].flatMap { half in
        [
          ("\(half).mid_block.resnets.0.*", "\(half).mid.block_1.*"),
          ("\(half).mid_block.resnets.1.*", "\(half).mid.block_2.*"),
          ("\(half).conv_norm_out.*", "\(half).norm_out.*"),
        ] + attention("\(half).mid_block.attentions.0", "\(half).mid.attn_1")
      }
  )

  private static func levels(_ file: String, _ canonical: String) -> [(String, String)] {
    [
      ("\(file).resnets.{j}.conv_shortcut.*", "\(canonical).block.{j}.nin_shortcut.*"),
      ("\(file).resnets.{j}.*", "\(canonical).block.{j}.*"),
    ] + attention("\(file).attentions.{j}", "\(canonical).attn.{j}")
  }

  private static func attention(_ file: String, _ canonical: String) -> [(String, String)] {
    [
      ("\(file).spatial_norm.norm_layer.*", "\(canonical).norm.norm_layer.*"),
      ("\(file).spatial_norm.conv_y.*", "\(canonical).norm.conv_y.*"),
      ("\(file).spatial_norm.conv_b.*", "\(canonical).norm.conv_b.*"),
      ("\(file).group_norm.*", "\(canonical).norm.*"),
      ("\(file).to_q.*", "\(canonical).q.*"), ("\(file).to_k.*", "\(canonical).k.*"),
      ("\(file).to_v.*", "\(canonical).v.*"), ("\(file).to_out.0.*", "\(canonical).proj_out.*"),
      ("\(file).query.*", "\(canonical).q.*"), ("\(file).key.*", "\(canonical).k.*"),
      ("\(file).value.*", "\(canonical).v.*"), ("\(file).proj_attn.*", "\(canonical).proj_out.*"),
    ]
  }

  /// Show-o and MMaDA: the 1x1 convolutions inside of the halves.
  package static let showO = NamingScheme(
    "Show-o",
    anchors: [
      "encoder.quant_conv.weight", "encoder.quant_conv.bias", "decoder.post_quant_conv.weight",
      "decoder.post_quant_conv.bias",
    ],
    [
      ("encoder.quant_conv.*", "quant_conv.*"), ("decoder.post_quant_conv.*", "post_quant_conv.*"),
    ]
  )

  /// The halves of a Cosmos tokenizer as sequences, whose parts have numbers.
  package static let cosmosEncoder = NamingScheme(
    "Cosmos encoder",
    anchors: [
      "0.down.0.block.0.conv1.weight", "0.down.0.block.0.conv2.weight",
    ],
    [("0.*", "encoder.*"), ("1.*", "quant_conv.*"), ("2.*", "quantizer.*")]
  )

  /// See ``cosmosEncoder``.
  package static let cosmosDecoder = NamingScheme(
    "Cosmos decoder",
    anchors: [
      "2.up.0.block.0.conv1.weight", "2.up.0.block.0.conv2.weight",
    ],
    [("0.*", "quantizer.*"), ("1.*", "post_quant_conv.*"), ("2.*", "decoder.*")]
  )

  /// Open-MAGVIT2: resampling without a level of its own, blocks alone in the middle.
  package static let openMAGVIT2 = NamingScheme(
    "Open-MAGVIT2",
    anchors: [
      "encoder.mid_block.0.conv1.weight", "encoder.mid_block.0.conv2.weight",
      "decoder.mid_block.0.conv1.weight", "decoder.mid_block.0.conv2.weight",
    ],
    [
      ("encoder.down.{i}.downsample.*", "encoder.down.{i}.downsample.conv.*"),
      ("decoder.up.{i}.upsample.conv1.*", "decoder.up.{i}.upsample.conv.*"),
      ("encoder.mid_block.{j}.*", "encoder.mid.block.{j}.*"),
      ("decoder.mid_block.{j}.*", "decoder.mid.block.{j}.*"),
      ("decoder.adaptive.{i}.*", "decoder.up.{i}.adaptive.*"),
    ]
  )

  /// open-muse's MaskGIT-VQGAN, as TiTok and RAR have it.
  package static let maskGIT = NamingScheme(
    "open-muse",
    anchors: [
      "encoder.mid.0.conv1.weight", "encoder.mid.0.conv2.weight", "decoder.mid.0.conv1.weight",
      "decoder.mid.0.conv2.weight",
    ],
    [
      ("encoder.mid.{j}.*", "encoder.mid.block.{j}.*"),
      ("decoder.mid.{j}.*", "decoder.mid.block.{j}.*"),
      ("decoder.up.{i}.upsample_conv.*", "decoder.up.{i}.upsample.conv.*"),
    ]
  )

  /// Emu3 as BAAI wrote it: taming's names and convolutions over time.
  package static let emu3 = NamingScheme(
    "Emu3",
    anchors: [
      "encoder.down.0.block.0.conv1.weight", "encoder.down.0.block.0.conv2.weight",
      "decoder.up.0.block.0.conv1.weight", "decoder.up.0.block.0.conv2.weight",
    ],
    time
  )

  /// Transformers' Emu3: attention as linear layers, its norms beside it.
  package static let transformersEmu3 = NamingScheme(
    "Transformers (Emu3)",
    anchors: [
      "encoder.down_block.down.0.block.0.conv1.weight",
      "encoder.down_block.down.0.block.0.conv2.weight",
      "decoder.up_block.up.0.block.0.conv1.weight", "decoder.up_block.up.0.block.0.conv2.weight",
    ],
    emu3Half("encoder", "down_block.down", "down")
      + emu3Half("decoder", "up_block.up", "up") + time
  )

  private static func emu3Half(
    _ half: String,
    _ file: String,
    _ canonical: String
  ) -> [(String, String)] {
    let (level, to) = ("\(half).\(file).{i}", "\(half).\(canonical).{i}")
    func attention(_ file: String, _ canonical: String) -> [(String, String)] {
      [("q_proj", "q"), ("k_proj", "k"), ("v_proj", "v"), ("out_proj", "proj_out")].map {
        ("\(file).\($0.0).*", "\(canonical).\($0.1).*")
      }
    }
    return [
      ("\(level).block.{j}.*", "\(to).block.{j}.*"),
      ("\(level).attn_norms.{j}.*", "\(to).attn.{j}.norm.*"),
      ("\(level).downsample.*", "\(to).downsample.*"), ("\(level).upsample.*", "\(to).upsample.*"),
      ("\(half).middle_block.block_1.*", "\(half).mid.block_1.*"),
      ("\(half).middle_block.block_2.*", "\(half).mid.block_2.*"),
      ("\(half).middle_block.attn_norm.*", "\(half).mid.attn_1.norm.*"),
    ] + attention("\(level).attn.{j}", "\(to).attn.{j}")
      + attention("\(half).middle_block.attn_1", "\(half).mid.attn_1")
  }

  private static let time: [(String, String)] =
    ["encoder", "decoder"].flatMap { half in
      [
        ("\(half).time_conv.{i}.conv.conv.*", "\(half).time_conv.{i}.*"),
        ("\(half).time_res_stack.{j}.conv1.conv.*", "\(half).time_res.{j}.conv1.*"),
        ("\(half).time_res_stack.{j}.conv2.conv.*", "\(half).time_res.{j}.conv2.*"),
        ("\(half).time_res_stack.{j}.*", "\(half).time_res.{j}.*"),
      ]
    } + [("quant_conv.conv.*", "quant_conv.*"), ("post_quant_conv.conv.*", "post_quant_conv.*")]

  /// The classic VQ-VAE of the PyTorch tutorials.
  package static let vqVAE = NamingScheme(
    "VQ-VAE",
    anchors: [
      "_encoder._conv_1.weight", "_encoder._conv_1.weight_v", "_decoder._conv_trans_1.weight",
    ]
  )

  /// FLAVA's image codebook: DALL-E's dVAE encoder.
  package static let flava = NamingScheme(
    "FLAVA",
    anchors: [
      "blocks.input.weight", "blocks.output.conv.weight",
    ]
  )

  /// OpenAI's own names of the same.
  package static let dalle = NamingScheme(
    "DALL-E",
    anchors: [
      "blocks.input.w", "blocks.output.conv.w",
    ],
    [
      ("blocks.input.w", "blocks.input.weight"), ("blocks.input.b", "blocks.input.bias"),
      ("blocks.output.conv.w", "blocks.output.conv.weight"),
      ("blocks.output.conv.b", "blocks.output.conv.bias"),
    ]
      + ["id_path", "res_path.path.conv_{k}"].flatMap { path in
        [("w", "weight"), ("b", "bias")].map {
          (
            "blocks.group_{i}.group.block_{j}.\(path).\($0.0)",
            "blocks.group_{i}.group.block_{j}.\(path).\($0.1)"
          )
        }
      }
  )
}

extension NamingScheme {
  /// Keras numbers its layers; the order counts, not the names.
  package static let keras = NamingScheme("Keras", anchors: [])
}
