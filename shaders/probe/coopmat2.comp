#version 460
#extension GL_KHR_cooperative_matrix : require
#extension GL_NV_cooperative_matrix2 : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
layout(local_size_x = 128) in;
void main()
{
    coopmat<float16_t, gl_ScopeWorkgroup, 64, 32, gl_MatrixUseA> a = coopmat<float16_t, gl_ScopeWorkgroup, 64, 32, gl_MatrixUseA>(1.0);
    tensorLayoutNV<2> layout_ = createTensorLayoutNV(2);
}
